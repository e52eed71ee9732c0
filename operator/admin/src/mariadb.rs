//! `MariaDB`: databases and users by SQL.
//!
//! A space is a database. A login is a user with all rights in that database and none elsewhere. Passwords leave here
//! only as the hashes that the server stores: statements with a password would be in its binary log and in lists of
//! sessions. What is already as it should be is not written again, so that an idle operator leaves no trace in the log
//! that replicas follow.
//!
//! A view, trigger or routine runs with the rights of the user who made it, and no longer when that user is gone. So a
//! user of such is not dropped but locked, until the database goes.

use async_trait::async_trait;
use aws_lc_rs::digest;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use std::fmt::Write as _;

use crate::error::{bounded, chain};
use crate::{AdminError, AdminPort, Endpoint, Login, Space, tls};

/// Databases of the server itself.
const OWN_DATABASES: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];
/// Users of the server and of the operator.
const OWN_USERS: [&str; 5] = ["mariadb.sys", "mysql", "portico_admin", "portico_replica", "root"];
/// The longest name of a database; names of users may be longer.
const LONGEST_NAME: usize = 64;

/// The server's numbers for a login that it does not take: user or password, database, host, locked, expired.
const REFUSALS: [u16; 7] = [1044, 1045, 1130, 1698, 1820, 1862, 4151];
/// For disks and tables that are full, and for a file that could not be written, which nearly always is that.
const FULL: [u16; 3] = [3, 1021, 1114];
/// For connections that have to be encrypted and are not.
const INSECURE: u16 = 3159;
/// For a server that is going down, and for a session that was ended.
const GOING: [u16; 3] = [1053, 1927, 1317];

/// Who made views, triggers, routines and events of a database.
const DEFINERS: &str = "\
    SELECT definer FROM information_schema.views WHERE table_schema = ? \
    UNION SELECT definer FROM information_schema.triggers WHERE trigger_schema = ? \
    UNION SELECT definer FROM information_schema.routines WHERE routine_schema = ? \
    UNION SELECT definer FROM information_schema.events WHERE event_schema = ?";

/// The admin port of one server.
#[derive(Debug)]
pub struct MariaDb {
    endpoint: Endpoint,
}

impl MariaDb {
    /// The admin port at `endpoint`. Connects only when it is used.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    fn options(&self, username: &str, password: &str) -> Result<MySqlConnectOptions, AdminError> {
        let options = MySqlConnectOptions::new()
            .host(&self.endpoint.host)
            .port(self.endpoint.port)
            .username(username)
            .password(password);
        let Some(ca) = &self.endpoint.ca else { return Ok(options.ssl_mode(MySqlSslMode::Disabled)) };
        // Only to say clearly what is wrong with it.
        tls::client_config(ca)?;
        Ok(options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(ca.clone().into_bytes()))
    }

    async fn admin(&self) -> Result<MySqlConnection, AdminError> {
        let Endpoint { username, password, .. } = &self.endpoint;
        self.options(username, password)?.connect().await.map_err(|error| failure(&error))
    }

    async fn make_space(&self, space: &Space) -> Result<(), AdminError> {
        let name = database(&space.name)?;
        let mut connection = self.admin().await?;
        let found = sqlx::query("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?").bind(name);
        if found.fetch_optional(&mut connection).await.map_err(|error| failure(&error))?.is_none() {
            run(&mut connection, format!("CREATE DATABASE IF NOT EXISTS `{name}`")).await?;
        }
        close(connection).await;
        Ok(())
    }

    async fn make_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let (database, user) = (database(&space.name)?, user(&login.username)?);
        let rights = Rights { database, user, hash: hash(&login.password), tls: self.endpoint.ca.is_some() };
        let held = match self.grants(login).await {
            Ok(held) => held,
            Err(AdminError::Refused(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        if rights.are(&held) {
            return Ok(());
        }
        let mut connection = self.admin().await?;
        let identified = rights.identified();
        run(&mut connection, format!("CREATE USER IF NOT EXISTS '{user}'@'%' {identified}")).await?;
        run(&mut connection, format!("ALTER USER '{user}'@'%' {identified} ACCOUNT UNLOCK")).await?;
        if rights.others(&held) {
            run(&mut connection, format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{user}'@'%'")).await?;
        }
        run(&mut connection, rights.grant()).await?;
        close(connection).await;
        Ok(())
    }

    /// The user's rights as the server writes them. Only the user itself may ask without rights on the server's tables.
    async fn grants(&self, login: &Login) -> Result<Vec<String>, AdminError> {
        let options = self.options(&login.username, &login.password)?;
        let mut connection = options.connect().await.map_err(|error| failure(&error))?;
        let rows = sqlx::raw_sql("SHOW GRANTS").fetch_all(&mut connection).await.map_err(|error| failure(&error))?;
        close(connection).await;
        rows.iter().map(|row| row.try_get(0).map_err(|error| failure(&error))).collect()
    }

    async fn log_in(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        let options = self.options(&login.username, &login.password)?.database(database(&space.name)?);
        let mut connection = options.connect().await.map_err(|error| failure(&error))?;
        run(&mut connection, "SELECT 1".to_owned()).await?;
        close(connection).await;
        Ok(())
    }

    async fn count(&self, username: &str) -> Result<u64, AdminError> {
        let mut connection = self.admin().await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?")
            .bind(username)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| failure(&error))?;
        close(connection).await;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The lock goes first: a client whose connection ends comes back at once.
    async fn remove_login(&self, space: &Space, username: &str) -> Result<(), AdminError> {
        let (database, user) = (database(&space.name)?, user(username)?);
        let mut connection = self.admin().await?;
        run(&mut connection, format!("ALTER USER IF EXISTS '{user}'@'%' ACCOUNT LOCK")).await?;
        run(&mut connection, format!("KILL CONNECTION USER '{user}'@'%'")).await?;
        if !definers(&mut connection, database).await?.iter().any(|definer| definer == user) {
            run(&mut connection, format!("DROP USER IF EXISTS '{user}'@'%'")).await?;
        }
        close(connection).await;
        Ok(())
    }

    /// With the database go the users who were locked for its sake: those whose names begin with its own.
    async fn remove_space(&self, space: &Space) -> Result<(), AdminError> {
        let name = database(&space.name)?;
        let mut connection = self.admin().await?;
        let definers = definers(&mut connection, name).await?;
        run(&mut connection, format!("DROP DATABASE IF EXISTS `{name}`")).await?;
        let own = |definer: &&String| definer.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
        for definer in definers.iter().filter(own) {
            run(&mut connection, format!("DROP USER IF EXISTS '{}'@'%'", user(definer)?)).await?;
        }
        close(connection).await;
        Ok(())
    }

    /// Replicas do it by their readiness probe.
    async fn reload(&self) -> Result<(), AdminError> {
        let mut connection = self.admin().await?;
        run(&mut connection, "FLUSH NO_WRITE_TO_BINLOG SSL".to_owned()).await?;
        close(connection).await;
        Ok(())
    }
}

#[async_trait]
impl AdminPort for MariaDb {
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.make_space(space)).await
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.make_login(space, login)).await
    }

    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.log_in(space, login)).await
    }

    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError> {
        bounded(self.count(username)).await.map(Some)
    }

    async fn revoke(&self, space: &Space, username: &str) -> Result<(), AdminError> {
        bounded(self.remove_login(space, username)).await
    }

    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.remove_space(space)).await
    }

    async fn reload_certificate(&self) -> Result<(), AdminError> {
        bounded(self.reload()).await
    }
}

/// What a login is to be: names that were checked, and the hash of its password.
struct Rights<'a> {
    database: &'a str,
    user: &'a str,
    hash: String,
    tls: bool,
}

impl Rights<'_> {
    fn identified(&self) -> String {
        let require = if self.tls { "SSL" } else { "NONE" };
        format!("IDENTIFIED VIA mysql_native_password USING '{}' REQUIRE {require}", self.hash)
    }

    /// In a grant, `_` stands for any letter unless it is escaped.
    fn on_database(&self) -> String {
        format!("GRANT ALL PRIVILEGES ON `{}`.* TO ", self.database.replace('_', r"\_"))
    }

    fn grant(&self) -> String {
        format!("{}'{}'@'%'", self.on_database(), self.user)
    }

    /// Whether the server's description of the user's rights says all of this and nothing else.
    fn are(&self, held: &[String]) -> bool {
        let connects = held.iter().find(|line| line.starts_with("GRANT USAGE ON *.* "));
        let tls = connects.is_some_and(|line| line.contains(" REQUIRE ") == self.tls);
        tls && held.iter().any(|line| self.is_ours(line)) && !self.others(held)
    }

    fn others(&self, held: &[String]) -> bool {
        held.iter().any(|line| !line.starts_with("GRANT USAGE ON *.* ") && !self.is_ours(line))
    }

    fn is_ours(&self, line: &str) -> bool {
        line.strip_prefix(&self.on_database()) == Some(&format!("`{}`@`%`", self.user))
    }
}

/// A name that needs no quoting, so that none can be got wrong.
fn checked<'a>(name: &'a str, own: &[&str], what: &str) -> Result<&'a str, AdminError> {
    let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if name.is_empty() || name.len() > LONGEST_NAME || !letters {
        let rule = format!("it must have 1 to {LONGEST_NAME} of a to z, 0 to 9 and _");
        return Err(AdminError::Engine(format!("{name:?} cannot be the name of a {what}: {rule}")));
    }
    if own.contains(&name) {
        return Err(AdminError::Engine(format!("the {what} {name} is the server's own: choose another name")));
    }
    Ok(name)
}

fn database(name: &str) -> Result<&str, AdminError> {
    checked(name, &OWN_DATABASES, "database")
}

fn user(name: &str) -> Result<&str, AdminError> {
    checked(name, &OWN_USERS, "user")
}

/// The users, without their hosts, who made something that runs with their rights.
async fn definers(connection: &mut MySqlConnection, database: &str) -> Result<Vec<String>, AdminError> {
    let query = sqlx::query_scalar(DEFINERS).bind(database).bind(database).bind(database).bind(database);
    let found: Vec<String> = query.fetch_all(connection).await.map_err(|error| failure(&error))?;
    Ok(found.iter().filter_map(|definer| definer.strip_suffix("@%")).map(str::to_owned).collect())
}

/// Runs one statement made of checked names and hashes only.
async fn run(connection: &mut MySqlConnection, statement: String) -> Result<(), AdminError> {
    let result = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await;
    result.map(drop).map_err(|error| failure(&error))
}

/// Says goodbye, so that the server does not note an aborted client. What was asked has been done by then.
async fn close(connection: MySqlConnection) {
    drop(connection.close().await);
}

/// What the server stores for a password: a star and SHA-1 of SHA-1, in capital hexadecimal digits. Its plugins with
/// better hashes are not spoken by all clients; 256 random bits need none.
fn hash(password: &str) -> String {
    let once = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
    twice.as_ref().iter().fold("*".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// The server's texts name users, databases and hosts. Of a statement that it does not understand it would repeat a
/// part; there are no passwords in ours.
fn failure(error: &sqlx::Error) -> AdminError {
    match error {
        sqlx::Error::Database(answer) => {
            let text = answer.message().to_owned();
            match answer.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number) {
                number if REFUSALS.contains(&number) => AdminError::Refused(text),
                number if FULL.contains(&number) => AdminError::Full(text),
                number if GOING.contains(&number) => AdminError::Unreachable(text),
                INSECURE => AdminError::Tls(text),
                _ => AdminError::Engine(text),
            }
        }
        sqlx::Error::Tls(_) => AdminError::Tls(chain(error)),
        sqlx::Error::Io(broken) => match broken.get_ref() {
            Some(cause) if cause.is::<rustls::Error>() => AdminError::Tls(chain(error)),
            _ => AdminError::Unreachable(chain(error)),
        },
        _ => AdminError::Engine(chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_server() {
        // What PASSWORD('secretplain') gives.
        assert_eq!(hash("secretplain"), "*9B23E069BD10FF775C288DA8A3DE90A903668923");
    }

    #[test]
    fn names_are_plain_and_not_the_servers_own() {
        assert_eq!(database("orders_2").unwrap(), "orders_2");
        for name in ["", "Orders", "a-b", "a`b", "a'b", "é", "mysql", "sys", &"a".repeat(65)] {
            assert!(database(name).is_err(), "{name}");
        }
        assert_eq!(
            user("root").unwrap_err().to_string(),
            "it answered: the user root is the server's own: choose another name"
        );
    }

    #[test]
    fn rights_are_compared_with_what_the_server_says() {
        let rights = Rights { database: "my_space", user: "u", hash: hash("p"), tls: true };
        let usage = "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X' REQUIRE SSL".to_owned();
        let ours = r"GRANT ALL PRIVILEGES ON `my\_space`.* TO `u`@`%`".to_owned();
        let more = "GRANT SELECT ON `other`.* TO `u`@`%`".to_owned();
        let plain = "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X'".to_owned();
        assert!(rights.are(&[usage.clone(), ours.clone()]));
        assert!(!rights.are(&[plain, ours.clone()]));
        assert!(!rights.are(std::slice::from_ref(&usage)));
        assert!(!rights.are(&[usage.clone(), ours, more.clone()]));
        assert!(rights.others(&[usage, more]));
        assert_eq!(rights.grant(), r"GRANT ALL PRIVILEGES ON `my\_space`.* TO 'u'@'%'");
    }
}
