//! The admin port of Garage on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use portico_crds::common::names::EngineName;
use portico_operator_admin::garage::{Garage as Port, REGION};
use portico_operator_admin::{AdminError, AdminPort, Clock, Endpoint, Login, Space};
use portico_test_servers::garage::Garage;
use zeroize::Zeroizing;

fn endpoint(server: &Garage) -> Endpoint {
    Endpoint {
        engine: EngineName::Garage,
        host: server.host(),
        port: server.admin_port(),
        consumer_port: server.port(),
        username: String::new(),
        password: Zeroizing::new(server.admin_token().to_owned()),
        ca: None,
        replicas: Vec::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the server compares the time in signatures with its own clock")]
fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

fn port(server: &Garage) -> Port {
    Port::new(endpoint(server), clock())
}

fn space(name: &str) -> Space {
    Space { name: name.to_owned(), ..Space::default() }
}

/// A login in the form that the operator generates; `number` makes it another one.
fn login(number: u8) -> Login {
    Login { username: format!("GK{number:024x}"), password: Zeroizing::new(format!("{number:064x}")) }
}

/// One signed request to S3.
async fn s3(server: &Garage, login: &Login, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let url = format!("{}{path}", server.endpoint());
    let identity = Credentials::new(&login.username, login.password.as_str(), None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params =
        SigningParams::builder().identity(&identity).region(REGION).name("s3").time(SystemTime::from(clock()()));
    let params = params.settings(settings).build().unwrap().into();
    let bytes = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new(method.as_str(), url.as_str(), std::iter::empty(), bytes).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::builder().method(method).uri(url).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn two_logins_of_a_bucket_share_it_and_no_other() {
    let server = Garage::shared().await;
    let port = port(server);
    let (mine, other) = (space("shared"), space("shared-not"));
    for space in [&mine, &other, &mine] {
        port.ensure_space(space).await.unwrap();
    }
    let (first, second, stranger) = (login(1), login(2), login(3));
    for login in [&first, &second, &first] {
        port.ensure_login(&mine, login).await.unwrap();
        port.verify(&mine, login).await.unwrap();
    }
    port.ensure_login(&other, &stranger).await.unwrap();

    assert_eq!(s3(server, &first, Method::PUT, "/shared/a%20b", "text").await.0, StatusCode::OK);
    assert_eq!(s3(server, &second, Method::GET, "/shared/a%20b", "").await, (StatusCode::OK, "text".to_owned()));
    assert_eq!(s3(server, &second, Method::DELETE, "/shared/a%20b", "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(s3(server, &stranger, Method::PUT, "/shared/x", "text").await.0, StatusCode::FORBIDDEN);
    assert!(matches!(port.verify(&mine, &stranger).await, Err(AdminError::Refused(_))));
    let wrong = Login { password: login(9).password, ..first.clone() };
    assert!(matches!(port.verify(&mine, &wrong).await, Err(AdminError::Refused(_))));
    assert_eq!(port.sessions(&first.username).await, Ok(None));
}

#[tokio::test]
async fn a_revoked_login_is_gone_for_good() {
    let server = Garage::shared().await;
    let port = port(server);
    let (space, old, new) = (space("revoked"), login(11), login(12));
    port.ensure_space(&space).await.unwrap();
    port.ensure_login(&space, &old).await.unwrap();
    port.ensure_login(&space, &new).await.unwrap();
    port.revoke(&space, &old.username).await.unwrap();
    port.revoke(&space, &old.username).await.unwrap();
    assert!(matches!(port.verify(&space, &old).await, Err(AdminError::Refused(_))));
    port.verify(&space, &new).await.unwrap();
    let error = port.ensure_login(&space, &old).await.unwrap_err().to_string();
    assert!(error.contains("takes no id twice: make another login"), "{error}");
    let other_secret = Login { password: old.password, ..new };
    let error = port.ensure_login(&space, &other_secret).await.unwrap_err().to_string();
    assert!(error.contains("has another secret"), "{error}");
    assert!(!error.contains(other_secret.password.as_str()), "{error}");
}

#[tokio::test]
async fn rights_that_somebody_added_are_taken_away() {
    let server = Garage::shared().await;
    let port = port(server);
    let (space, login) = (space("tidy"), login(21));
    port.ensure_space(&space).await.unwrap();
    port.ensure_login(&space, &login).await.unwrap();
    let id = login.username.as_str();
    let other = server.make_bucket("tidy-not").unwrap();
    server.command(&["key", "allow", "--create-bucket", id]).unwrap();
    server.command(&["bucket", "allow", "--read", "--write", "--owner", &other.name, "--key", id]).unwrap();
    server.command(&["bucket", "allow", "--owner", "tidy", "--key", id]).unwrap();
    server.command(&["bucket", "deny", "--write", "tidy", "--key", id]).unwrap();

    port.ensure_login(&space, &login).await.unwrap();

    assert_eq!(s3(server, &login, Method::PUT, "/tidy/x", "text").await.0, StatusCode::OK);
    assert_eq!(s3(server, &login, Method::GET, "/tidy-not/?list-type=2", "").await.0, StatusCode::FORBIDDEN);
    assert_eq!(s3(server, &login, Method::PUT, "/tidy-new", "").await.0, StatusCode::FORBIDDEN);
    let info = server.command(&["json-api", "GetKeyInfo", &format!(r#"{{"id":"{id}"}}"#)]).unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let rights = serde_json::json!({"read": true, "write": true, "owner": false});
    assert_eq!(info["buckets"].as_array().unwrap().len(), 1, "{info}");
    assert_eq!(info["buckets"][0]["permissions"], rights, "{info}");
}

#[tokio::test]
async fn a_bucket_is_dropped_with_all_that_is_in_it() {
    let server = Garage::shared().await;
    let port = port(server);
    let (space, login) = (space("full"), login(31));
    port.ensure_space(&space).await.unwrap();
    port.ensure_login(&space, &login).await.unwrap();
    // More than a page, names that XML has to escape, and one that it cannot hold.
    for number in 0..120 {
        assert_eq!(s3(server, &login, Method::PUT, &format!("/full/many/{number}"), "text").await.0, StatusCode::OK);
    }
    for name in ["a%20%26%20%3Cb%3E%22%27", "line%0D%0Aend", "a/control%01/name", "%C3%A9t%C3%A9", "../up"] {
        let (status, body) = s3(server, &login, Method::PUT, &format!("/full/{name}"), "text").await;
        assert_eq!(status, StatusCode::OK, "{name}: {body}");
    }
    assert_eq!(s3(server, &login, Method::POST, "/full/unfinished?uploads", "").await.0, StatusCode::OK);

    port.drop_space(&space).await.unwrap();

    port.drop_space(&space).await.unwrap();
    port.revoke(&space, &login.username).await.unwrap();
    let error = port.ensure_login(&space, &login).await.unwrap_err().to_string();
    assert!(error.contains("there is no bucket full"), "{error}");
    let keys = server.command(&["key", "list"]).unwrap();
    assert!(!keys.contains("empties the bucket"), "{keys}");
    // The name can be had again, and what was in it is gone.
    port.ensure_space(&space).await.unwrap();
    let again = self::login(32);
    port.ensure_login(&space, &again).await.unwrap();
    assert_eq!(s3(server, &again, Method::GET, "/full/many/1", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_stored_survives_a_kill_and_the_loss_of_the_nodes_key() {
    let mut server = Garage::start().await.unwrap();
    let port = port(&server);
    let (space, login) = (space("kept"), login(41));
    port.ensure_space(&space).await.unwrap();
    port.ensure_login(&space, &login).await.unwrap();
    // More than what Garage keeps beside the names, so that it is a block on disk.
    let text = "kept ".repeat(10_000);
    assert_eq!(s3(&server, &login, Method::PUT, "/kept/x", &text).await.0, StatusCode::OK);
    server.stop();
    server.resume().await.unwrap();
    assert_eq!(s3(&server, &login, Method::GET, "/kept/x", "").await, (StatusCode::OK, text.clone()));
    server.stop();
    server.lose_key().unwrap();
    server.resume().await.unwrap();
    assert_eq!(s3(&server, &login, Method::GET, "/kept/x", "").await, (StatusCode::OK, text));
    port.drop_space(&space).await.unwrap();
}

#[tokio::test]
async fn troubles_are_told_apart() {
    let server = Garage::shared().await;
    let wrong = Port::new(Endpoint { password: Zeroizing::new("wrong".to_owned()), ..endpoint(server) }, clock());
    let error = wrong.ensure_space(&space("nobody")).await.unwrap_err();
    assert!(matches!(&error, AdminError::Refused(text) if !text.contains("wrong")), "{error}");
    let port = port(server);
    let error = port.ensure_space(&space("Not_A_Bucket")).await.unwrap_err();
    assert!(matches!(&error, AdminError::Engine(text) if text.contains("Not_A_Bucket")), "{error}");
    // Nothing listens on the port after the last one.
    let away = Port::new(Endpoint { port: server.admin_port() + 9, consumer_port: 1, ..endpoint(server) }, clock());
    assert!(matches!(away.ensure_space(&space("x")).await, Err(AdminError::Unreachable(_))));
    assert!(matches!(away.verify(&space("x"), &login(1)).await, Err(AdminError::Unreachable(_))));
    away.reload_certificate().await.unwrap();
}
