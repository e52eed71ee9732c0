//! S3: objects of the binding's bucket, addressed by path.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};

use super::signed::{Answer, Signed};
use super::{Client, Failure, Session};
use crate::binding::Binding;

pub(super) struct S3 {
    http: Signed,
    bucket: String,
    session: Session,
}

impl S3 {
    pub(super) fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        let bucket = binding.space.clone().unwrap_or_default();
        Ok(Self { http: Signed::new(binding, session, "s3")?, bucket, session: session.clone() })
    }

    async fn object(&self, method: Method, name: &str, content: &str) -> Result<Answer, Failure> {
        let path = format!("/{}/load/{name}", self.bucket);
        self.http.send(method, &path, &[], Bytes::copy_from_slice(content.as_bytes())).await
    }
}

#[async_trait]
impl Client for S3 {
    async fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn request(&mut self, sequence: u64) -> Result<(), Failure> {
        let (name, value) = (self.session.entry(sequence), sequence.to_string());
        self.write(&name, &value).await?;
        Failure::unless_same(&value, self.read(&name).await?.as_deref())?;
        self.object(Method::DELETE, &name, "").await?.success().map(drop)
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.object(Method::PUT, key, value).await?.success().map(drop)
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let answer = self.object(Method::GET, key, "").await?;
        let missing = answer.status == StatusCode::NOT_FOUND && is_no_such_key(&answer.body);
        if missing {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&answer.success()?.body).into_owned()))
    }

    async fn close(self: Box<Self>) {
        // The connection ends when it is dropped.
    }
}

/// A missing bucket has the same status.
fn is_no_such_key(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("<Code>NoSuchKey</Code>")
}
