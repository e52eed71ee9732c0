//! A node in small, for tests: a network namespace that routes between others, one a pod, wired as CNI's `ptp` does it.
//! The namespaces have no names and live as long as somebody holds them, so that a test that dies leaves nothing
//! behind.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use super::nft;
use crate::shell;

/// More than any answer takes on one machine; only a packet that was dropped makes a test wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// The node's end of every pod's link.
const GATEWAY: &str = "169.254.1.1";

/// A namespace with servers on some ports.
struct TestPod {
    namespace: OwnedFd,
    address: Ipv4Addr,
    tcp: Vec<TcpListener>,
}

pub(super) struct TestNetwork {
    node: OwnedFd,
    pods: Vec<TestPod>,
}

impl TestNetwork {
    /// Pods with these addresses, each of which listens on the given ports.
    pub(super) fn new(addresses: &[Ipv4Addr], tcp: &[u16], udp: &[u16]) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test makes network namespaces: run it as root");
        let node = new_namespace();
        inside(&node, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            super::answer_every_refusal().unwrap();
            ip("link set lo up");
        });
        let pods =
            addresses.iter().enumerate().map(|(number, address)| TestPod::new(&node, number, *address, tcp, udp));
        Self { pods: pods.collect(), node }
    }

    /// Applies a ruleset on the node.
    pub(super) fn load(&self, ruleset: &str) -> anyhow::Result<()> {
        inside(&self.node, || {
            // On this thread alone, which is in the namespace, and so nft is too.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(nft::apply(ruleset))
        })
    }

    /// Whether a connection from one pod to a port of another is made; it is either made or refused at once.
    pub(super) fn tcp(&self, from: usize, to: usize, port: u16) -> bool {
        let (client, server) = (&self.pods[from], &self.pods[to]);
        let target = SocketAddr::V4(SocketAddrV4::new(server.address, port));
        match inside(&client.namespace, || TcpStream::connect_timeout(&target, PATIENCE)) {
            Ok(_) => {
                server.listener(port).accept().unwrap();
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
            Err(error) => panic!("neither made nor refused: {error}"),
        }
    }

    /// A connection, both ends of it.
    pub(super) fn open(&self, from: usize, to: usize, port: u16) -> (TcpStream, TcpStream) {
        let (client, server) = (&self.pods[from], &self.pods[to]);
        let near = inside(&client.namespace, || TcpStream::connect((server.address, port))).unwrap();
        let far = server.listener(port).accept().unwrap().0;
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        (near, far)
    }

    /// Whether a datagram is answered; it is either answered or refused at once.
    pub(super) fn udp(&self, from: usize, to: usize, port: u16) -> bool {
        let (client, server) = (&self.pods[from], &self.pods[to]);
        let socket = inside(&client.namespace, || UdpSocket::bind((client.address, 0))).unwrap();
        socket.connect((server.address, port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(b"question").unwrap();
        match socket.recv(&mut [0; 16]) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
            Err(error) => panic!("neither answered nor refused: {error}"),
        }
    }
}

/// Whether what goes in at one end comes out at the other.
pub(super) fn carries(near: &mut TcpStream, far: &mut TcpStream) -> bool {
    let mut buffer = [0; 4];
    near.write_all(b"ping").is_ok() && far.read_exact(&mut buffer).is_ok() && &buffer == b"ping"
}

impl TestPod {
    fn new(node: &OwnedFd, number: usize, address: Ipv4Addr, tcp: &[u16], udp: &[u16]) -> Self {
        let namespace = new_namespace();
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        inside(node, || {
            ip(&format!("link add pod{number} type veth peer name eth0 netns {path}"));
            ip(&format!("addr add {GATEWAY}/32 dev pod{number}"));
            ip(&format!("link set pod{number} up"));
            ip(&format!("route add {address}/32 dev pod{number}"));
        });
        let tcp = inside(&namespace, || {
            ip("link set lo up");
            ip(&format!("addr add {address}/32 dev eth0"));
            ip("link set eth0 up");
            ip(&format!("route add {GATEWAY} dev eth0"));
            ip(&format!("route add default via {GATEWAY} dev eth0"));
            for port in udp {
                answer(UdpSocket::bind((address, *port)).unwrap());
            }
            tcp.iter().map(|port| TcpListener::bind((address, *port)).unwrap()).collect()
        });
        Self { namespace, address, tcp }
    }

    fn listener(&self, port: u16) -> &TcpListener {
        self.tcp.iter().find(|listener| listener.local_addr().unwrap().port() == port).unwrap()
    }
}

/// Sends back every datagram, as long as the test program runs.
fn answer(socket: UdpSocket) {
    thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            // Nobody is there to be told of a failure but the asker, who gets no answer.
            let _ = socket.send_to(&buffer[..length], asker);
        }
    });
}

fn new_namespace() -> OwnedFd {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap().into()
    };
    thread::scope(|scope| scope.spawn(make).join().unwrap())
}

/// Runs `work` on a thread of its own in a network namespace. Sockets and processes made there stay in it.
fn inside<T: Send>(namespace: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

fn ip(arguments: &str) {
    shell::capture(Command::new("ip").args(arguments.split(' '))).unwrap();
}
