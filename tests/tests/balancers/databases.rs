//! Redis and PostgreSQL as Debian has them, on loopback: what `check` says of this running host when they are well, and
//! when something was done to them. Findings about other databases of this machine are nobody's business here.

use crate::place::{LONG, Place, is_installed};
use cloud_doctor_tests::balancer::{Finding, Findings, free_port};
use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::world::World;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

const REDIS: &str = "/usr/bin/redis-server";
/// Debian keeps each version of PostgreSQL in a folder of its own.
const POSTGRES: &str = "/usr/lib/postgresql";
/// Debian's user of PostgreSQL, which does not run as root.
const POSTGRES_USER: &str = "postgres";

/// What `check` says about databases of this host.
fn databases(world: &World) -> Findings {
    let mut command = world.command(Program::Agent.path());
    command.args(["check", "--json", "--all", "--lang", "en", "db"]);
    Findings::read(&world.output("check", command).stdout)
}

/// A Redis with these options; it saves nothing unless told to.
struct Redis<'a> {
    world: &'a World,
    process: Process,
    port: u16,
}

impl<'a> Redis<'a> {
    fn start(world: &'a World, options: &[&str]) -> Self {
        let port = free_port();
        let mut command = world.command(REDIS);
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]).args(options);
        let process = world.start("redis", command);
        let redis = Self { world, process, port };
        eventually(LONG, "Redis answers", || redis.try_ask("PING").filter(|answer| answer.starts_with(['+', '-'])));
        redis
    }

    /// One command on a connection of its own; the answer until the server closes.
    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    #[track_caller]
    fn ask(&self, command: &str) -> String {
        self.try_ask(command).unwrap()
    }

    /// Its status by one check, whether that is advice, and what is said.
    #[track_caller]
    fn told(&self, check: &str) -> (String, bool, String) {
        let Finding { status, note, summary, .. } =
            databases(self.world).take(check, &format!("redis 127.0.0.1:{}", self.port));
        (status, note, summary)
    }

    #[track_caller]
    fn is_told(&self, check: &str, status: &str, note: bool, part: &str) {
        let told = self.told(check);
        assert!(told.0 == status && told.1 == note && told.2.contains(part), "{check}: {told:?}");
    }
}

#[test]
fn db_10_db_13_a_redis_that_is_well_and_one_without_a_limit() {
    if !is_installed(REDIS) {
        return;
    }
    let place = Place::new();
    let well = Redis::start(&place.world, &["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    well.is_told("db.redis-memory", "ok", false, "policy allkeys-lru");
    well.is_told("db.redis-persistence", "ok", false, "the last save");
    well.is_told("db.redis-connections", "ok", false, "has refused no connection");
    well.is_told("db.redis-replication", "ok", false, "is a master");
    let endless = Redis::start(&place.world, &[]);
    endless.is_told("db.redis-memory", "ok", true, "has no limit");
    let locked = Redis::start(&place.world, &["--requirepass", "never-in-a-log"]);
    locked.is_told("db.redis-memory", "unknown", false, "needs a password");
}

#[test]
fn db_10_a_redis_that_is_full_and_may_throw_nothing_away() {
    if !is_installed(REDIS) {
        return;
    }
    let place = Place::new();
    let redis = Redis::start(&place.world, &["--maxmemory", "4mb"]);
    redis.is_told("db.redis-memory", "ok", false, "policy noeviction");
    let value = "x".repeat(50_000);
    let full = (0..200).any(|at| redis.ask(&format!("SET key{at} {value}")).starts_with("-OOM"));
    assert!(full, "4 MB hold no 10 MB");
    redis.is_told("db.redis-memory", "warning", false, "policy noeviction");
}

#[test]
fn db_11_a_redis_that_cannot_save() {
    if !is_installed(REDIS) {
        return;
    }
    let place = Place::new();
    let folder = place.world.folder("redis");
    let redis = Redis::start(&place.world, &["--dir", folder.to_str().unwrap()]);
    redis.ask("SET key value");
    redis.ask("BGSAVE");
    let saved = || {
        let told = redis.ask("INFO persistence");
        (folder.join("dump.rdb").exists() && told.contains("rdb_bgsave_in_progress:0")).then_some(())
    };
    eventually(LONG, "it has saved", saved);
    redis.is_told("db.redis-persistence", "ok", false, "succeeded");
    fs::remove_dir_all(&folder).unwrap();
    redis.ask("BGSAVE");
    let failed = || redis.ask("INFO persistence").contains("rdb_last_bgsave_status:err").then_some(());
    eventually(LONG, "a save has failed", failed);
    redis.is_told("db.redis-persistence", "critical", false, "failed");
}

#[test]
fn db_11_db_13_connections_that_were_refused_and_a_replica_that_lost_its_master() {
    if !is_installed(REDIS) {
        return;
    }
    let place = Place::new();
    let redis = Redis::start(&place.world, &["--maxclients", "10"]);
    let hold = |count: usize| -> Vec<TcpStream> {
        let connect = || {
            let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
            stream.write_all(b"PING\r\n").unwrap();
            stream.read_exact(&mut [0; 7]).unwrap();
            stream
        };
        (0..count).map(|_| connect()).collect()
    };
    let held = hold(9);
    redis.is_told("db.redis-connections", "warning", false, "has 100 % of its connections");
    let tenth = hold(1);
    let (mut eleventh, mut answer) = (TcpStream::connect(("127.0.0.1", redis.port)).unwrap(), String::new());
    eleventh.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("-ERR max number of clients"), "{answer}");
    // Whoever is refused knows nothing, and says so.
    redis.is_told("db.redis-connections", "unknown", false, "");
    drop((held, tenth));
    let is_alone = || redis.try_ask("INFO clients").filter(|answer| answer.contains("connected_clients:1\r"));
    eventually(LONG, "the connections are gone", is_alone);
    redis.is_told("db.redis-connections", "ok", true, "has refused");
    let mut master = Redis::start(&place.world, &[]);
    let replica = Redis::start(&place.world, &["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let follows = || replica.ask("INFO replication").contains("master_link_status:up").then_some(());
    eventually(LONG, "the replica follows", follows);
    replica.is_told("db.redis-replication", "ok", false, "follows its master");
    master.process.kill();
    let lost = || replica.ask("INFO replication").contains("master_link_status:down").then_some(());
    eventually(LONG, "the replica has noticed", lost);
    replica.is_told("db.redis-replication", "critical", false, "its master");
}

/// A cluster of PostgreSQL in a folder of this world.
struct Postgres<'a> {
    world: &'a World,
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl<'a> Postgres<'a> {
    /// Nothing when it is not installed.
    fn new(world: &'a World) -> Option<Self> {
        let versions = fs::read_dir(POSTGRES).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let programs = versions.filter(|folder| folder.join("postgres").exists()).max();
        let programs = programs.filter(|folder| is_installed(&folder.join("psql").display().to_string()));
        let Some(programs) = programs else {
            is_installed(POSTGRES);
            return None;
        };
        let folder = world.folder("postgres");
        if is_root() {
            // Its own user must get there.
            fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o711)).unwrap();
            let mut command = world.command("/usr/bin/chown");
            command.arg(POSTGRES_USER).arg(&folder);
            assert!(world.output("chown", command).status.success());
        }
        let cluster = Self { world, programs, folder, port: free_port() };
        let mut command = cluster.command("initdb");
        command.args(["--no-sync", "-A", "trust", "-U", POSTGRES_USER, "-D"]).arg(cluster.data());
        let mut initdb = world.start("initdb", command);
        assert!(initdb.wait(LONG).success(), "{}", initdb.stderr());
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return self.world.command(program);
        }
        let mut command = self.world.command("/usr/bin/setpriv");
        command.arg(format!("--reuid={POSTGRES_USER}")).args([&format!("--regid={POSTGRES_USER}"), "--clear-groups"]);
        command.arg(program);
        command
    }

    /// Adds lines to one of its files, as somebody with an editor does.
    fn edit(&self, file: &str, lines: &str) {
        let path = self.data().join(file);
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(lines.as_bytes()).unwrap();
    }

    fn start(&self) -> Process {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder).args(["-p", &self.port.to_string()]);
        let postgres = self.world.start("postgres", command);
        eventually(LONG, "PostgreSQL answers", || self.connect());
        postgres
    }

    /// A connection that is ready for questions: a startup message, and what comes until `ReadyForQuery`.
    fn connect(&self) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let body = [&196_608_u32.to_be_bytes()[..], b"user\0postgres\0database\0postgres\0\0"].concat();
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &body].concat()).ok()?;
        loop {
            let mut head = [0; 5];
            stream.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            stream.read_exact(&mut vec![0; usize::try_from(length).ok()?.checked_sub(4)?]).ok()?;
            match head[0] {
                b'Z' => return Some(stream),
                b'E' => return None,
                _ => {}
            }
        }
    }

    fn sql(&self, text: &str) {
        let mut command = self.command("psql");
        command.args(["-q", "-U", POSTGRES_USER, "-p", &self.port.to_string(), "-c", text, "-h"]).arg(&self.folder);
        let output = self.world.output("psql", command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The subject of findings about a file of it.
    fn file(&self, name: &str) -> String {
        self.data().join(name).display().to_string()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// In order: it leaves nothing behind in the memory that all share.
fn stop(running: &mut Process) {
    running.signal(rustix::process::Signal::INT);
    running.wait(LONG);
}

#[test]
fn db_05_a_postgresql_whose_connections_run_out() {
    let place = Place::new();
    let Some(cluster) = Postgres::new(&place.world) else { return };
    cluster.edit("postgresql.conf", "max_connections = 20\n");
    let (subject, mut running) = (cluster.file("postgresql.conf"), cluster.start());
    let told = |check: &str| databases(&place.world).take(check, &subject);
    eventually(LONG, "nobody is connected", || {
        let idle = told("db.postgres-connections");
        (idle.status == "ok" && idle.value == Some(0.0)).then_some(())
    });
    let mut held: Vec<_> = (0..17).map(|_| cluster.connect().unwrap()).collect();
    let many = told("db.postgres-connections");
    assert_eq!((many.status.as_str(), many.value), ("warning", Some(85.0)), "{many:?}");
    held.extend((0..3).map(|_| cluster.connect().unwrap()));
    assert!(cluster.connect().is_none(), "too many clients already");
    let full = told("db.postgres-connections");
    assert_eq!((full.status.as_str(), full.value), ("critical", Some(100.0)), "{full:?}");
    stop(&mut running);
}

#[test]
fn db_08_a_postgresql_that_was_told_to_lose_data_and_to_trust_everybody() {
    let place = Place::new();
    let Some(cluster) = Postgres::new(&place.world) else { return };
    let conf = cluster.file("postgresql.conf");
    let mut running = cluster.start();
    let well = databases(&place.world);
    // A new cluster archives nothing, and trusts whoever is on this host: initdb was told so.
    assert!(well.about("db.postgres-safety", &format!("{conf} archive")).note);
    assert!(well.about("db.postgres-trust", &cluster.file("pg_hba.conf")).note);
    // Through the server itself: it writes another file, which wins.
    cluster.sql("ALTER SYSTEM SET full_page_writes = off");
    stop(&mut running);
    cluster.edit("postgresql.conf", "fsync = off\narchive_mode = on\n");
    cluster.edit("pg_hba.conf", "host all all 192.0.2.0/24 trust\n");
    running = cluster.start();
    let ill = databases(&place.world);
    let status = |check: &str, subject: &str| ill.about(check, subject).status.clone();
    assert_eq!(status("db.postgres-safety", &format!("{conf} fsync")), "critical");
    assert_eq!(status("db.postgres-safety", &format!("{conf} full_page_writes")), "critical");
    assert_eq!(status("db.postgres-safety", &format!("{conf} archive")), "warning");
    let subject = format!("{} host all all 192.0.2.0/24", cluster.file("pg_hba.conf"));
    assert_eq!(status("db.postgres-trust", &subject), "warning");
    cluster.sql("ALTER SYSTEM RESET full_page_writes");
    let mended = databases(&place.world);
    assert!(!mended.has("db.postgres-safety", &format!("{conf} full_page_writes")));
    assert!(mended.has("db.postgres-safety", &format!("{conf} fsync")));
    stop(&mut running);
}

#[test]
fn db_08_a_postgresql_whose_archive_command_fails() {
    let place = Place::new();
    let Some(cluster) = Postgres::new(&place.world) else { return };
    cluster.edit("postgresql.conf", "archive_mode = on\narchive_command = '/bin/false'\n");
    let (subject, mut running) = (cluster.file("postgresql.conf"), cluster.start());
    let check = "db.postgres-archive-failing";
    // A second of trouble is enough here; people wait for a minute, ten, and an hour.
    let told = |set: &str| {
        let mut command = place.world.command(Program::Agent.path());
        command.args(["check", "--json", "--all", "--lang", "en", check, "--set", &format!("{check}.{set}")]);
        Findings::read(&place.world.output("check", command).stdout).take(check, &subject)
    };
    let well = told("failed=1");
    assert_eq!((well.status.as_str(), well.value), ("ok", Some(0.0)), "{well:?}");
    // A file of the log is full.
    cluster.sql("SELECT pg_switch_wal()");
    let ill = eventually(LONG, "the archiver has failed", || {
        let ill = told("failed=1");
        (ill.status == "warning").then_some(ill)
    });
    assert!(ill.summary.starts_with("PostgreSQL cannot archive its log: the archiver has failed"), "{ill:?}");
    // Also by the age alone.
    let old = told("critical=1");
    assert_eq!(old.status, "critical", "{old:?}");
    // Whoever mends the command has nothing else to do.
    cluster.edit("postgresql.conf", "archive_command = '/bin/true'\n");
    cluster.sql("SELECT pg_reload_conf()");
    let well = eventually(LONG, "all is archived", || {
        let well = told("failed=1");
        (well.value == Some(0.0)).then_some(well)
    });
    assert_eq!(well.status, "ok", "{well:?}");
    stop(&mut running);
}
