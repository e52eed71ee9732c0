//! PostgreSQL: each consumer has a database and a role that owns it and cannot log in; its users become that role when
//! they log in. So whatever one of them makes belongs to all of them.
//!
//! The operator's role is not a superuser: it owns what it made, and can touch nothing else.

mod scram;
mod session;

use async_trait::async_trait;
use sqlx::{Connection as _, Error, PgConnection};

use crate::error::bounded;
use crate::{AdminError, AdminPort, Endpoint, Login, Space};
use session::{Name, Role, Target, code, connect, failed, run};

/// The database that the operator's role works from.
const HOME: &str = "postgres";
/// There is no such database.
const UNKNOWN_DATABASE: &str = "3D000";

/// Whether the owner is there, a space whose user it is instead, who owns the database of that name, and whether others
/// may enter it. Roles of spaces belong to nobody; users belong to their space.
const SPACE: &str = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), \
     (SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE pg_get_userbyid(member) = $1 LIMIT 1), \
     (SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1), \
     EXISTS (SELECT FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS granted \
         WHERE datname = $1 AND granted.grantee = 0)";
/// Whether the user is there, whether it is the role of a space instead, and a role of another space that it belongs to.
const LOGIN: &str = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), \
     EXISTS (SELECT FROM pg_database WHERE datname = $1), \
     (SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members \
         WHERE pg_get_userbyid(member) = $1 AND pg_get_userbyid(roleid) <> $2 LIMIT 1)";
/// Users of a space that the operator made.
const LOGINS: &str = "SELECT pg_get_userbyid(member)::text FROM pg_auth_members \
     WHERE pg_get_userbyid(roleid) = $1 AND pg_get_userbyid(member) <> current_user \
     AND pg_has_role(current_user, member, 'MEMBER WITH ADMIN OPTION')";
const NUMBER: &str = "SELECT oid::int8 FROM pg_roles WHERE rolname = $1";
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_type = 'client backend'";
/// First all are told, then each is waited for: up to two seconds.
const TERMINATE: [&str; 2] = [
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usesysid::int8 = $1",
    "SELECT count(pg_terminate_backend(pid, 2000)) FROM pg_stat_activity WHERE usesysid::int8 = $1",
];

/// The admin port of one server.
pub struct PostgreSql {
    endpoint: Endpoint,
    replicas: Vec<String>,
}

impl PostgreSql {
    /// The port at `endpoint`. Connects only when it is used.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, replicas: Vec::new() }
    }

    /// Counts and ends sessions on these copies, too. One that cannot be reached is left out: what the primary says
    /// reaches it when it is back.
    #[must_use]
    pub fn with_replicas(mut self, hosts: Vec<String>) -> Self {
        self.replicas = hosts;
        self
    }

    async fn administer(&self, host: &str, database: &str) -> Result<PgConnection, Error> {
        let (username, password) = (self.endpoint.username.as_str(), self.endpoint.password.as_str());
        connect(&self.endpoint, Target { host, database, username, password, role: Role::Administrator }).await
    }

    async fn home(&self) -> Result<PgConnection, AdminError> {
        self.administer(&self.endpoint.host, HOME).await.map_err(|error| failed(&error))
    }

    async fn reachable_replicas(&self) -> Vec<PgConnection> {
        let mut found = Vec::new();
        for host in &self.replicas {
            found.extend(self.administer(host, HOME).await.ok());
        }
        found
    }

    async fn make_space(&self, space: &Name) -> Result<(), AdminError> {
        let mut home = self.home().await?;
        let (role, user_of, owner, open): (bool, Option<String>, Option<String>, bool) =
            sqlx::query_as(SPACE).bind(space.as_str()).fetch_one(&mut home).await.map_err(|error| failed(&error))?;
        // Its role would let the users of either space into the other.
        if let Some(other) = user_of {
            return Err(AdminError::Engine(format!("{space} is a user of the space {other:?}: choose another name")));
        }
        if let Some(owner) = owner.as_deref().filter(|&owner| owner != space.as_str()) {
            let text = format!("the database {space} belongs to {owner:?}: rename it, or choose another name");
            return Err(AdminError::Engine(text));
        }
        let steps = [
            (!role).then(|| format!("CREATE ROLE {space} NOLOGIN")),
            owner.is_none().then(|| format!("CREATE DATABASE {space} OWNER {space}")),
            // A new one is open to everybody.
            (owner.is_none() || open).then(|| format!("REVOKE ALL ON DATABASE {space} FROM PUBLIC")),
        ];
        for step in steps.into_iter().flatten() {
            run(&mut home, step).await.map_err(|error| failed(&error))?;
        }
        close(home).await
    }

    /// Logs in as a consumer does.
    async fn try_login(&self, space: &Name, login: &Login) -> Result<(), AdminError> {
        let (host, database) = (self.endpoint.host.as_str(), space.as_str());
        let (username, password) = (login.username.as_str(), login.password.as_str());
        let target = Target { host, database, username, password, role: Role::Consumer };
        let mut session = connect(&self.endpoint, target).await.map_err(|error| match code(&error).as_deref() {
            // No such database, or not for this user.
            Some(UNKNOWN_DATABASE | "42501") => AdminError::Refused(error.to_string()),
            _ => failed(&error),
        })?;
        let owner: bool = sqlx::query_scalar("SELECT current_user = $1")
            .bind(space.as_str())
            .fetch_one(&mut session)
            .await
            .map_err(|error| failed(&error))?;
        close(session).await?;
        if owner { Ok(()) } else { Err(AdminError::Refused(format!("{username} does not act as the role {space}"))) }
    }

    async fn make_login(&self, space: &Name, login: &Login) -> Result<(), AdminError> {
        let name = Name::new(&login.username)?;
        let mut home = self.home().await?;
        let (exists, is_space, other): (bool, bool, Option<String>) = sqlx::query_as(LOGIN)
            .bind(name.as_str())
            .bind(space.as_str())
            .fetch_one(&mut home)
            .await
            .map_err(|error| failed(&error))?;
        if is_space {
            return Err(AdminError::Engine(format!("{name} is a space, not a user: choose another name for {space}")));
        }
        if let Some(other) = other {
            return Err(AdminError::Engine(format!("the user {name} belongs to {other:?}: choose another name")));
        }
        // What is right is not written again: a new verifier would be a change of the catalogue each time.
        if exists && self.try_login(space, login).await.is_ok() {
            return close(home).await;
        }
        let verifier = scram::verifier(&login.password)?;
        let verb = if exists { "ALTER" } else { "CREATE" };
        let statements = format!(
            "{verb} ROLE {name} LOGIN PASSWORD '{verifier}'; GRANT {space} TO {name}; ALTER ROLE {name} SET role TO {space}"
        );
        run(&mut home, statements).await.map_err(|error| failed(&error))?;
        close(home).await
    }

    async fn remove_login(&self, space: &Name, login: &Name) -> Result<(), AdminError> {
        let mut home = self.home().await?;
        let number: Option<i64> = sqlx::query_scalar(NUMBER)
            .bind(login.as_str())
            .fetch_optional(&mut home)
            .await
            .map_err(|error| failed(&error))?;
        if let Some(number) = number {
            run(&mut home, format!("ALTER ROLE {login} NOLOGIN")).await.map_err(|error| failed(&error))?;
            terminate(&mut home, number).await?;
            self.hand_over(space, login).await?;
            run(&mut home, format!("DROP ROLE IF EXISTS {login}")).await.map_err(|error| failed(&error))?;
            for mut replica in self.reachable_replicas().await {
                terminate(&mut replica, number).await?;
            }
        }
        close(home).await
    }

    /// What the user owns itself, because it gave up its role, becomes the owner's, and its grants go.
    async fn hand_over(&self, space: &Name, login: &Name) -> Result<(), AdminError> {
        let mut database = match self.administer(&self.endpoint.host, space.as_str()).await {
            Ok(database) => database,
            Err(error) if code(&error).as_deref() == Some(UNKNOWN_DATABASE) => return Ok(()),
            Err(error) => return Err(failed(&error)),
        };
        let statements = format!("REASSIGN OWNED BY {login} TO {space}; DROP OWNED BY {login}");
        run(&mut database, statements).await.map_err(|error| failed(&error))?;
        close(database).await
    }

    async fn remove_space(&self, space: &Name) -> Result<(), AdminError> {
        let mut home = self.home().await?;
        let logins: Vec<String> = sqlx::query_scalar(LOGINS)
            .bind(space.as_str())
            .fetch_all(&mut home)
            .await
            .map_err(|error| failed(&error))?;
        run(&mut home, format!("DROP DATABASE IF EXISTS {space} WITH (FORCE)"))
            .await
            .map_err(|error| failed(&error))?;
        for login in logins {
            self.remove_login(space, &Name::new(&login)?).await?;
        }
        run(&mut home, format!("DROP ROLE IF EXISTS {space}")).await.map_err(|error| failed(&error))?;
        close(home).await
    }

    async fn count_sessions(&self, username: &str) -> Result<u64, AdminError> {
        let mut servers = vec![self.home().await?];
        servers.extend(self.reachable_replicas().await);
        let mut total = 0;
        for mut server in servers {
            let count: i64 = sqlx::query_scalar(SESSIONS)
                .bind(username)
                .fetch_one(&mut server)
                .await
                .map_err(|error| failed(&error))?;
            total += u64::try_from(count).unwrap_or(0);
            close(server).await?;
        }
        Ok(total)
    }
}

async fn terminate(server: &mut PgConnection, number: i64) -> Result<(), AdminError> {
    for statement in TERMINATE {
        sqlx::query(statement).bind(number).execute(&mut *server).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Says goodbye, so that the server does not log a lost client.
async fn close(connection: PgConnection) -> Result<(), AdminError> {
    connection.close().await.map_err(|error| failed(&error))
}

#[async_trait]
impl AdminPort for PostgreSql {
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.make_space(&Name::new(&space.name)?)).await
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.make_login(&Name::new(&space.name)?, login)).await
    }

    async fn verify(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        bounded(self.try_login(&Name::new(&space.name)?, login)).await
    }

    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError> {
        bounded(self.count_sessions(username)).await.map(Some)
    }

    async fn revoke(&self, space: &Space, username: &str) -> Result<(), AdminError> {
        let (space, login) = (Name::new(&space.name)?, Name::new(username)?);
        bounded(self.remove_login(&space, &login)).await
    }

    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        bounded(self.remove_space(&Name::new(&space.name)?)).await
    }

    async fn reload_certificate(&self) -> Result<(), AdminError> {
        bounded(async {
            let mut home = self.home().await?;
            run(&mut home, "SELECT pg_reload_conf()".to_owned()).await.map_err(|error| failed(&error))?;
            close(home).await
        })
        .await
    }
}
