//! The admin port of Garage: its admin API (version 2), and S3 to empty buckets and to try keys.
//!
//! Garage never takes an access key id twice, not even after it was removed, and cannot change the secret of one. So
//! logins have to have new ids, which the operator makes at random.

mod s3;

use async_trait::async_trait;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::bounded;
use crate::http::{Answer, HttpClient, Scheme, segment};
use crate::{AdminError, AdminPort, Clock, DEADLINE, Endpoint, Login, Space};
use s3::S3;

/// The region of every builtin store, as its configuration says.
pub const REGION: &str = "garage";
/// The name of keys that empty buckets. They end by themselves, should their removal fail.
const EMPTYING: &str = "portico: empties the bucket before it is removed";
const EMPTYING_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// What emptying leaves of a call's time for what comes before and after.
const RESERVE: std::time::Duration = std::time::Duration::from_secs(4);

/// The admin port of one Garage.
pub struct Garage {
    endpoint: Endpoint,
    clock: Clock,
}

#[derive(Deserialize)]
struct Bucket {
    id: String,
    keys: Vec<BucketKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BucketKey {
    access_key_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyInfo {
    access_key_id: String,
    secret_access_key: Option<String>,
    #[serde(default)]
    buckets: Vec<KeyBucket>,
}

#[derive(Deserialize)]
struct KeyBucket {
    id: String,
}

impl Garage {
    /// The port at `endpoint`, whose password is the admin token. Connects only when it is used. Signatures hold the
    /// time of `clock`.
    pub fn new(endpoint: Endpoint, clock: Clock) -> Self {
        Self { endpoint, clock }
    }

    fn admin(&self) -> Result<Admin, AdminError> {
        HttpClient::new(&self.endpoint, Scheme::Bearer).map(Admin)
    }

    fn s3(&self) -> Result<S3, AdminError> {
        S3::new(&self.endpoint, REGION, self.clock.clone())
    }

    /// Removes what is in `bucket` with a key for that alone.
    async fn empty(&self, admin: &Admin, bucket: &Bucket, name: &str, until: Instant) -> Result<bool, AdminError> {
        for leftover in bucket.keys.iter().filter(|key| key.name == EMPTYING) {
            admin.delete_key(&leftover.access_key_id).await?;
        }
        let expiration = ((self.clock)() + EMPTYING_LIFE).to_string();
        let key: KeyInfo =
            admin.post("CreateKey", &json!({"name": EMPTYING, "expiration": expiration})).await?.json()?;
        let secret = key.secret_access_key.ok_or_else(|| AdminError::Engine("a new key came without a secret".into()));
        let login = Login { username: key.access_key_id, password: Zeroizing::new(secret?) };
        let emptied = async {
            admin.allow(&bucket.id, &login.username).await?;
            self.s3()?.empty(&login, name, until).await
        };
        let emptied = emptied.await;
        admin.delete_key(&login.username).await?;
        emptied
    }

    async fn remove(&self, name: &str) -> Result<(), AdminError> {
        let until = Instant::now() + DEADLINE.saturating_sub(RESERVE);
        let admin = self.admin()?;
        let Some(bucket) = admin.bucket(name).await? else { return Ok(()) };
        let uploads = json!({"bucketId": bucket.id, "olderThanSecs": 0});
        admin.post("CleanupIncompleteUploads", &uploads).await?;
        if admin.delete_bucket(&bucket.id).await? {
            return Ok(());
        }
        if self.empty(&admin, &bucket, name, until).await? && admin.delete_bucket(&bucket.id).await? {
            return Ok(());
        }
        Err(AdminError::Engine(format!(
            "bucket {name} holds more objects than one call can remove: the next one goes on with the rest"
        )))
    }
}

#[async_trait]
impl AdminPort for Garage {
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(async {
            let admin = self.admin()?;
            if admin.bucket(&space.name).await?.is_some() {
                return Ok(());
            }
            let answer = admin.ask("CreateBucket", &json!({"globalAlias": space.name})).await?;
            // Somebody else was quicker.
            if answer.status == StatusCode::CONFLICT { Ok(()) } else { accepted(answer).map(drop) }
        })
        .await
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(async {
            let admin = self.admin()?;
            let bucket = admin.bucket(&space.name).await?.ok_or_else(|| missing(&space.name))?;
            admin.ensure_key(&space.name, login, &bucket.id).await?;
            admin.allow(&bucket.id, &login.username).await
        })
        .await
    }

    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(async { self.s3()?.list(login, &space.name, "", 1).await.map(drop) }).await
    }

    /// S3 has requests and no connections.
    async fn sessions(&self, _: &str) -> Result<Option<u64>, AdminError> {
        Ok(None)
    }

    async fn revoke(&self, _: &Space, username: &str) -> Result<(), AdminError> {
        bounded(async { self.admin()?.delete_key(username).await }).await
    }

    /// Works for as long as a call may, and gives [`AdminError::Engine`] when objects are left: the next call goes on.
    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.remove(&space.name)).await
    }

    /// There is no TLS.
    async fn reload_certificate(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

/// Calls of the admin API.
struct Admin(HttpClient);

impl Admin {
    async fn ask(&self, call: &str, body: &Value) -> Result<Answer, AdminError> {
        self.0.send(Method::POST, &format!("/v2/{call}"), &[], Some(body)).await
    }

    async fn post(&self, call: &str, body: &Value) -> Result<Answer, AdminError> {
        accepted(self.ask(call, body).await?)
    }

    async fn bucket(&self, name: &str) -> Result<Option<Bucket>, AdminError> {
        let answer = self.0.get(&format!("/v2/GetBucketInfo?globalAlias={}", segment(name))).await?;
        answer.found()?.map(|answer| answer.json()).transpose()
    }

    /// Whether the bucket is gone; it stays while something is in it.
    async fn delete_bucket(&self, id: &str) -> Result<bool, AdminError> {
        let answer = self.ask(&format!("DeleteBucket?id={}", segment(id)), &Value::Null).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => accepted(answer).map(|_| true),
        }
    }

    async fn delete_key(&self, id: &str) -> Result<(), AdminError> {
        let answer = self.ask(&format!("DeleteKey?id={}", segment(id)), &Value::Null).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { accepted(answer).map(drop) }
    }

    /// Makes the key, or makes sure that it is the one that is wanted and can do nothing outside of the bucket.
    async fn ensure_key(&self, name: &str, login: &Login, bucket: &str) -> Result<(), AdminError> {
        let id = &login.username;
        let import = json!({"accessKeyId": id, "secretAccessKey": *login.password, "name": name});
        let answer = self.ask("ImportKey", &import).await?;
        if answer.status != StatusCode::CONFLICT {
            return accepted(answer).map(drop);
        }
        let answer = self.0.get(&format!("/v2/GetKeyInfo?showSecretKey=true&id={}", segment(id))).await?;
        let gone = || format!("access key {id} was removed earlier, and Garage takes no id twice: make another login");
        let key: KeyInfo = answer.found()?.ok_or_else(|| AdminError::Engine(gone()))?.json()?;
        if key.secret_access_key.as_deref() != Some(login.password.as_str()) {
            let problem = "has another secret, and Garage cannot change it: make another login";
            return Err(AdminError::Engine(format!("access key {id} {problem}")));
        }
        let rights = json!({"neverExpires": true, "deny": {"createBucket": true}});
        self.post(&format!("UpdateKey?id={}", segment(id)), &rights).await?;
        for other in &key.buckets {
            // Of its own bucket it has no need to be the owner.
            let all = other.id != bucket;
            let rights = json!({"read": all, "write": all, "owner": true});
            let body = json!({"bucketId": other.id, "accessKeyId": id, "permissions": rights});
            self.post("DenyBucketKey", &body).await?;
        }
        Ok(())
    }

    async fn allow(&self, bucket: &str, id: &str) -> Result<(), AdminError> {
        let rights = json!({"read": true, "write": true, "owner": false});
        let body = json!({"bucketId": bucket, "accessKeyId": id, "permissions": rights});
        self.post("AllowBucketKey", &body).await.map(drop)
    }
}

fn missing(bucket: &str) -> AdminError {
    AdminError::Engine(format!("there is no bucket {bucket}: make it first"))
}

/// [`Answer::success`], with a full disk told from other troubles.
fn accepted(answer: Answer) -> Result<Answer, AdminError> {
    let full = |text: &str| ["No space left", "MDB_MAP_FULL", "os error 28"].iter().any(|part| text.contains(part));
    answer.success().map_err(|error| match error {
        AdminError::Engine(text) if full(&text) => AdminError::Full(text),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_troubles() {
        let answer = |message: &str| Answer {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: json!({"code": "InternalError", "message": message}).to_string().into(),
        };
        let full = accepted(answer("Internal error: IO error: No space left on device (os error 28)"));
        assert_eq!(full.err().unwrap().reason(), "VolumeFull");
        let full = accepted(answer("Internal error: DB error: MDB_MAP_FULL: mapsize limit reached"));
        assert_eq!(full.err().unwrap().reason(), "VolumeFull");
        assert_eq!(accepted(answer("Internal error: quorum")).err().unwrap().reason(), "EngineRefused");
    }
}
