//! The admin port of DynamoDB: the tables of an instance, in DynamoDB Local and in the service of Amazon.
//!
//! There are no logins to make. DynamoDB Local lets everybody do everything; at Amazon rights belong to identities that
//! are managed elsewhere, and whoever is given here must be allowed to describe, create and delete the tables.

mod description;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::bounded;
use crate::http::Answer;
use crate::sigv4::{Scope, SignedClient};
use crate::{AdminError, AdminPort, Clock, DEADLINE, Endpoint, Login, Space, Table};
use description::{Described, Description, same_keys};

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// Between two looks at a table that is being made: nothing announces that it is ready.
const LOOK: Duration = Duration::from_millis(200);
/// What waiting leaves of a call's time for the last answer.
const RESERVE: Duration = Duration::from_secs(3);
/// The region of hosts that do not name theirs. DynamoDB Local takes any.
const REGION: &str = "us-east-1";
/// Key and secret where the endpoint has none. DynamoDB Local wants letters and digits, whichever.
const ANYBODY: &str = "portico";

/// The admin port of one DynamoDB.
pub struct DynamoDb {
    endpoint: Endpoint,
    clock: Clock,
}

impl DynamoDb {
    /// The port at `endpoint`, whose user and password are an access key. Connects only when it is used.
    ///
    /// The region is the one that the host names (`dynamodb.eu-central-1.amazonaws.com`).
    /// Signatures hold the time of `clock`.
    pub fn new(endpoint: Endpoint, clock: Clock) -> Self {
        Self { endpoint, clock }
    }

    fn administrator(&self) -> Result<Session, AdminError> {
        let anybody = self.endpoint.username.is_empty();
        let login = if anybody {
            Login { username: ANYBODY.to_owned(), password: Zeroizing::new(ANYBODY.to_owned()) }
        } else {
            Login { username: self.endpoint.username.clone(), password: self.endpoint.password.clone() }
        };
        self.session(login)
    }

    fn session(&self, login: Login) -> Result<Session, AdminError> {
        let scope = Scope { service: "dynamodb", region: region(&self.endpoint.host).to_owned() };
        let client = SignedClient::new(&self.endpoint, self.endpoint.port, scope, self.clock.clone())?;
        Ok(Session { client, login })
    }
}

#[async_trait]
impl AdminPort for DynamoDb {
    /// Makes the tables that are missing. Gives [`AdminError::Engine`] when one is there with other keys, which cannot
    /// be changed, and when one is not ready in time: the next call goes on.
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        let until = Instant::now() + DEADLINE.saturating_sub(RESERVE);
        bounded(async {
            let session = self.administrator()?;
            for table in &space.tables {
                match session.describe(&table.name).await? {
                    Some(description) => same_keys(table, &description)?,
                    None => session.create(table).await?,
                }
            }
            for table in &space.tables {
                session.until_active(&table.name, until).await?;
            }
            Ok(())
        })
        .await
    }

    /// There are no logins to make.
    async fn ensure_login(&self, _: &Space, _: &Login) -> Result<(), AdminError> {
        Ok(())
    }

    /// Looks at the tables of the space, or at the list of all when it names none.
    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(async {
            let session = self.session(login.clone())?;
            for table in &space.tables {
                let missing = || AdminError::Engine(format!("there is no table {}: make it first", table.name));
                session.describe(&table.name).await?.ok_or_else(missing)?;
            }
            if space.tables.is_empty() {
                session.ask("ListTables", &json!({"Limit": 1})).await?.map_err(AdminError::from)?;
            }
            Ok(())
        })
        .await
    }

    /// Requests, no connections.
    async fn sessions(&self, _: &str) -> Result<Option<u64>, AdminError> {
        Ok(None)
    }

    /// There are no logins to remove.
    async fn revoke(&self, _: &Space, _: &str) -> Result<(), AdminError> {
        Ok(())
    }

    /// Removes the tables of the space and no others.
    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(async {
            let session = self.administrator()?;
            for table in &space.tables {
                session.delete(&table.name).await?;
            }
            Ok(())
        })
        .await
    }

    /// DynamoDB Local has no TLS, and Amazon's is not ours.
    async fn reload_certificate(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

/// One login's requests.
struct Session {
    client: SignedClient,
    login: Login,
}

impl Session {
    async fn ask(&self, call: &str, body: &Value) -> Result<Result<Answer, Refusal>, AdminError> {
        let target = format!("DynamoDB_20120810.{call}");
        let headers = [(CONTENT_TYPE, "application/x-amz-json-1.0"), (TARGET, target.as_str())];
        let body = body.to_string().into();
        let answer = self.client.send(&self.login, Method::POST, "/", &headers, body).await?;
        Ok(if answer.status.is_success() { Ok(answer) } else { Err(Refusal::of(&answer)) })
    }

    async fn describe(&self, table: &str) -> Result<Option<Description>, AdminError> {
        match self.ask("DescribeTable", &json!({"TableName": table})).await? {
            Ok(answer) => answer.json().map(|described: Described| Some(described.table)),
            Err(refusal) if refusal.code == "ResourceNotFoundException" => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn create(&self, table: &Table) -> Result<(), AdminError> {
        let keys = || std::iter::once((&table.partition_key, "HASH")).chain(table.sort_key.iter().zip(["RANGE"]));
        let definitions: Vec<_> =
            keys().map(|(key, _)| json!({"AttributeName": key.name, "AttributeType": key.kind})).collect();
        let schema: Vec<_> = keys().map(|(key, role)| json!({"AttributeName": key.name, "KeyType": role})).collect();
        let body = json!({
            "TableName": table.name,
            "AttributeDefinitions": definitions,
            "KeySchema": schema,
            "BillingMode": "PAY_PER_REQUEST",
        });
        match self.ask("CreateTable", &body).await? {
            // Somebody else was quicker; the wait that follows finds it, and the next call looks at its keys.
            Err(refusal) if refusal.code != "ResourceInUseException" => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    async fn until_active(&self, table: &str, until: Instant) -> Result<(), AdminError> {
        loop {
            let status = self.describe(table).await?.map_or_else(|| "not there".to_owned(), |one| one.table_status);
            // A table that is being updated can be used.
            if status == "ACTIVE" || status == "UPDATING" {
                return Ok(());
            }
            if Instant::now() + LOOK >= until {
                return Err(AdminError::Engine(format!("table {table} is not ready yet, it is {status}: ask again")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn delete(&self, table: &str) -> Result<(), AdminError> {
        let Err(refusal) = self.ask("DeleteTable", &json!({"TableName": table})).await? else { return Ok(()) };
        if refusal.code == "ResourceNotFoundException" {
            return Ok(());
        }
        let going = self.describe(table).await?.is_none_or(|one| one.table_status == "DELETING");
        if going { Ok(()) } else { Err(refusal.into()) }
    }
}

/// What DynamoDB says instead of doing what it was asked.
#[derive(Debug)]
struct Refusal {
    code: String,
    words: String,
    status: StatusCode,
}

impl Refusal {
    fn of(answer: &Answer) -> Self {
        let body: Value = answer.json().unwrap_or_default();
        let kind = body.get("__type").and_then(Value::as_str).unwrap_or_default();
        let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
        Self { words: format!("{code} {}", answer.words()).trim().to_owned(), code, status: answer.status }
    }
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> Self {
        const LOGIN: [&str; 9] = [
            "AccessDeniedException",
            "ExpiredTokenException",
            "IncompleteSignatureException",
            "InvalidClientTokenIdException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "NotAuthorizedException",
            "OptInRequired",
            "UnrecognizedClientException",
        ];
        let forbidden = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&refusal.status);
        if forbidden || LOGIN.contains(&refusal.code.as_str()) {
            return Self::Refused(refusal.words);
        }
        Self::Engine(refusal.words)
    }
}

/// The region in a host of Amazon: the label after the service, or before it in names of private endpoints.
fn region(host: &str) -> &str {
    let mut labels = host.split('.').skip_while(|label| !["dynamodb", "dynamodb-fips"].contains(label)).skip(1);
    let amazon = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end));
    labels.next().filter(|_| amazon).unwrap_or(REGION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_amazons_hosts() {
        assert_eq!(region("dynamodb.eu-central-1.amazonaws.com"), "eu-central-1");
        assert_eq!(region("dynamodb-fips.us-gov-west-1.amazonaws.com"), "us-gov-west-1");
        assert_eq!(region("dynamodb.cn-north-1.amazonaws.com.cn"), "cn-north-1");
        assert_eq!(region("vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com"), "eu-west-1");
        assert_eq!(region("notes-dynamodb.default.svc"), "us-east-1");
        assert_eq!(region("dynamodb.default.svc"), "us-east-1");
    }

    #[test]
    fn refusals_of_the_login_are_told_from_others() {
        let refusal = |status: u16, body: Value| {
            let status = StatusCode::from_u16(status).unwrap();
            AdminError::from(Refusal::of(&Answer { status, body: body.to_string().into() }))
        };
        let expired = json!({"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "it ended"});
        let error = refusal(400, expired);
        assert_eq!(error, AdminError::Refused("ExpiredTokenException 400 Bad Request: it ended".to_owned()));
        let limit = json!({"__type": "com.amazonaws.dynamodb.v20120810#LimitExceededException", "Message": "too many"});
        assert_eq!(refusal(400, limit).reason(), "EngineRefused");
        assert_eq!(refusal(503, Value::Null).reason(), "EngineRefused");
    }
}
