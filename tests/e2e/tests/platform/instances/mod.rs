//! Every engine that the operator runs, used through its bindings by a client of the engine. One instance of an engine
//! goes through all that may happen to it, in one test, because starting one is what takes long.

mod access;
mod delegated;
mod dynamodb;
mod faults;
mod garage;
mod life;
mod mariadb;
mod postgresql;
mod rabbitmq;
mod removal;
mod rotation;
mod valkey;
