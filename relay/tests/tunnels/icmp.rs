//! QUI-11: somebody on the way claims that only tiny packets fit. In a network of its own, which this test's second
//! start gets from `unshare`, because a kernel remembers such claims for everybody.

use crate::peer::Agent;
use crate::world::World;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;

const OWN_NETWORK: &str = "CLOUD_DOCTOR_TEST_OWN_NETWORK";
const NAME: &str = "icmp::qui_11_a_forged_packet_too_big_makes_no_packet_small";

#[test]
fn qui_11_a_forged_packet_too_big_makes_no_packet_small() {
    if std::env::var_os(OWN_NETWORK).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(attacked());
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: a network of its own takes root");
        return;
    }
    let script = format!("ip link set lo up && exec \"$0\" --exact {NAME} --nocapture");
    let output = Command::new("/usr/bin/unshare")
        .args(["--net", "/bin/sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(OWN_NETWORK, "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

async fn attacked() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let mut stream = world.open(&server).await;
    stream.send.write_all(b"begin").await.unwrap();
    let mut frames = agent.accept().await;
    let ends = [world.addr, SocketAddr::from((Ipv4Addr::LOCALHOST, agent.peer.endpoint.local_addr().unwrap().port()))];
    let reader = tokio::spawn(async move { frames.recv.read_to_end(4 << 20).await.map(|bytes| bytes.len()) });
    for round in 0..40 {
        for (from, to) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            too_big(from, to, 68);
        }
        stream.send.write_all(&[7; 50_000]).await.unwrap();
        let mtu = agent.peer.connection.stats().path.current_mtu;
        assert!(mtu >= 1_200, "round {round}: packets of {mtu} bytes");
    }
    stream.send.finish().unwrap();
    // The stream's head comes before what the client said.
    assert!(reader.await.unwrap().unwrap() >= 5 + 40 * 50_000);
    // The claim was one that the kernel takes: others on this machine would believe it.
    let route = Command::new("/bin/ip").args(["route", "get", "127.0.0.1"]).output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&route.stdout));
    assert_eq!(agent.peer.connection.stats().path.black_holes_detected, 0);
    world.stop().await;
}

/// "Fragmentation needed" for a packet that `from` has sent to `to`.
fn too_big(from: SocketAddr, to: SocketAddr, mtu: u16) {
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    let local = Ipv4Addr::LOCALHOST.octets();
    icmp.extend([0x45, 0, 5, 0xdc, 0, 1, 0x40, 0, 64, 17, 0, 0]);
    icmp.extend([local, local].concat());
    let sum = checksum(&icmp[8..28]);
    icmp[18..20].copy_from_slice(&sum);
    icmp.extend(from.port().to_be_bytes());
    icmp.extend(to.port().to_be_bytes());
    icmp.extend([5, 0xc8, 0, 0]);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
    sendto(&raw, &icmp, SendFlags::empty(), &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum >> 16 > 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}
