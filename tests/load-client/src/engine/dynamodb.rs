//! DynamoDB: items of a table whose partition key is the string `id`.

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};
use serde_json::{Value, json};

use super::signed::Signed;
use super::{Client, Failure, Session};
use crate::binding::Binding;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

pub(super) struct DynamoDb {
    http: Signed,
    session: Session,
}

impl DynamoDb {
    pub(super) fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        Ok(Self { http: Signed::new(binding, session, "dynamodb")?, session: session.clone() })
    }

    async fn ask(&self, action: &str, mut body: Value) -> Result<Value, Failure> {
        body["TableName"] = self.session.table.as_str().into();
        let target = format!("DynamoDB_20120810.{action}");
        let headers = [(CONTENT_TYPE, "application/x-amz-json-1.0"), (TARGET, target.as_str())];
        let answer = self.http.send(Method::POST, "/", &headers, body.to_string().into()).await?.success()?;
        serde_json::from_slice(&answer.body).map_err(|error| Failure::Wrong(format!("{action}: {error}")))
    }
}

#[async_trait]
impl Client for DynamoDb {
    /// The table belongs to the instance.
    async fn prepare(&mut self) -> Result<(), Failure> {
        self.ask("DescribeTable", json!({})).await.map(drop)
    }

    async fn request(&mut self, sequence: u64) -> Result<(), Failure> {
        let (name, value) = (self.session.entry(sequence), sequence.to_string());
        self.write(&name, &value).await?;
        Failure::unless_same(&value, self.read(&name).await?.as_deref())
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.ask("PutItem", json!({"Item": {"id": {"S": key}, "value": {"S": value}}})).await.map(drop)
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let found = self.ask("GetItem", json!({"Key": {"id": {"S": key}}, "ConsistentRead": true})).await?;
        Ok(found["Item"]["value"]["S"].as_str().map(str::to_owned))
    }

    async fn close(self: Box<Self>) {
        // The connection ends when it is dropped.
    }
}
