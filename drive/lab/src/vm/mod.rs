//! A server that is a machine of its own: QEMU with a kernel of its own, instead of namespaces of this machine's.
//!
//! It boots the disk of its image, read through a layer of its own, and is told by a seed of cloud-init who it is. Its
//! network is that of every other server: one routed link, the other end of which QEMU holds open, so that it goes with the
//! process. The process is found by its control group, which carries the server's identity.
//!
//! ```text
//! servers/IDENTITY/
//!   image.qcow2   the image's disk
//!   own.qcow2     what the machine wrote over it
//!   seed          what cloud-init reads at the first boot
//!   key           with which this machine logs in, as root
//!   known_hosts   by which it knows the machine
//!   console.log   its serial console
//!   console.boot  how long that was when it was started last
//!   grown         how large its disk was, in bytes, when its root file system was last grown
//!   unmounted     there while it is open what of its volumes it has mounted
//!   monitor.log   what QEMU said
//!   control       QEMU's own socket
//! ```

mod accelerator;
mod control;
mod disks;
mod guest;
mod process;
mod seed;
mod tap;
mod volumes;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_schema::{Attribute, Failure, Format, Identity};
use andon_value::{Type, Value};

use crate::attach;
use crate::cgroup::{Group, Hierarchies};
use crate::console::CONSOLE;
use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::names;
use crate::netlink::mac;
use crate::network::{self, interface};
use crate::records::absent_is_fine;
use crate::server::Ground;
use crate::spec::{ServerSpec, format};
use crate::units::{format_bytes, parse_bytes};
use accelerator::Accelerator;
use process::{Given, User};
use volumes::own_size;
pub(crate) use volumes::{Holder, attach_disks, detach_disks, grow_own, grown, has_disk, open};

/// How long a machine may take until it can be logged in to and cloud-init is done: with the processor's help, and without.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
const EMULATED_BOOT_LIMIT: Duration = Duration::from_secs(1800);
/// How long it may take to shut itself down.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long it may take until it listens to what it is told of that.
const TELL_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// The memory of a machine that is given none.
const MEMORY: u64 = 1 << 30;
/// What a machine takes of this machine's memory beside its own: QEMU itself, its buffers, and tables of pages, which are
/// less than a sixty-fourth of what they are of. What it reads and writes of files is given back first.
const BESIDE: u64 = 256 << 20;
const TABLES: u64 = 64;
/// How often it is tried whether a machine answers, and how long that may take: each time has it start a process.
const ASK_EVERY: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// What is said on the console when cloud-init has done all that it was told: by itself, where the user gave it no other last
/// words, and by systemd.
const FINISHED: [[&str; 2]; 2] = [["Cloud-init v. ", " finished at "], ["Reached target ", "cloud-init.target"]];

const IMAGE: &str = "image.qcow2";
const OWN: &str = "own.qcow2";
const SEED: &str = "seed";
const KEY: &str = "key";
const KNOWN_HOSTS: &str = "known_hosts";
const BOOT: &str = "console.boot";
const MONITOR: &str = "monitor.log";

/// What a user asks of a machine, beside what every server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MachineSpec {
    /// Whether it may run without the processor's help.
    pub emulate: bool,
    /// How large its disk is, in bytes; `None` where it is as large as that of its image.
    pub disk: Option<u64>,
}

/// How a machine is logged in to, as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its address.
    pub address: Ipv4Addr,
    /// The file of a private key, as OpenSSH writes it.
    pub key: PathBuf,
    /// The file by which the machine is known.
    pub known_hosts: PathBuf,
}

impl MachineSpec {
    /// Of a planned value; `None` for a server in namespaces.
    pub fn decode(value: &Value) -> Option<MachineSpec> {
        is_machine(value).then(|| MachineSpec {
            emulate: value.get("emulate").and_then(Value::as_bool) == Some(true),
            disk: disk_of(value),
        })
    }
}

fn disk_of(value: &Value) -> Option<u64> {
    value.get_str("disk").and_then(parse_bytes)
}

const DISK: Format = Format { name: "a size", example: "\"10G\"", check: |it| format::text(it, disk_size) };

fn disk_size(text: &str) -> Result<(), Failure> {
    let bytes = parse_bytes(text).filter(|bytes| *bytes % (1 << 20) == 0 && (64 << 20..=16 << 40).contains(bytes));
    bytes.map(drop).ok_or_else(|| {
        Failure::new(format!("`{text}` is no size for a disk"), "It is in whole M, from 64M to 16T.")
            .help("Write one such as `10G`.")
    })
}

/// Refuses a smaller disk.
pub(crate) fn check_change(prior: &Value, planned: &Value) -> Result<(), Failure> {
    match (disk_of(prior), disk_of(planned)) {
        (Some(before), Some(after)) if after < before && is_machine(planned) => {
            let detail = format!("It has {}, and {} are asked for.", format_bytes(before), format_bytes(after));
            Err(Failure::new("the disk of a machine does not shrink", detail)
                .help("Replace the server: `andon up --replace ADDRESS`, or give it another image.")
                .about("disk"))
        }
        _ => Ok(()),
    }
}

/// Whether a server is a machine of its own.
pub(crate) fn is_machine(value: &Value) -> bool {
    value.get("vm").and_then(Value::as_bool) == Some(true)
}

/// The attributes of a server that only this is for.
pub(crate) fn attributes() -> Vec<(&'static str, Attribute)> {
    let vm = "Whether the server is a machine with a kernel of its own, by QEMU, instead of a container. Its image must have a \
              kernel, cloud-init and an ssh server. `memory` (default `1G`) is what it has, and `cpus` how many processors; \
              another number of either restarts it, another name or other keys replace it. A change replaces the server.";
    let emulate = "Whether such a machine may run without the processor's help (KVM) where that does not work here: many \
                   times slower. Without it, that is an error.";
    let disk = "How large the disk of such a machine is, such as `10G`. Without it, it is as large as its image and some room. \
                It grows in place, and its root file system with it, while the machine runs; it does not shrink.";
    vec![
        ("vm", Attribute::optional(Type::Bool, vm)),
        ("emulate", Attribute::optional(Type::Bool, emulate)),
        ("disk", Attribute::optional(Type::String, disk).format(DISK)),
    ]
}

/// What replaces a machine, and changes a container in place: it is told of these at its first boot alone.
pub(crate) const REPLACING: [&str; 2] = ["name", "keys"];

/// Refuses what a machine does not have.
pub(crate) fn agree(planned: &Value) -> Result<(), Failure> {
    let is_given = |name: &str| match planned.get(name) {
        None => false,
        Some(value) if value.is_null() => false,
        Some(value) => value.as_bool() != Some(false) && value.as_entries().is_none_or(|entries| !entries.is_empty()),
    };
    if !is_machine(planned) {
        let is_decided = planned.get("vm").is_none_or(|vm| !vm.is_unknown());
        let odd = ["emulate", "disk"].into_iter().find(|name| is_decided && is_given(name));
        return match odd {
            Some(name) => {
                let detail = "The server is a container: nothing is emulated, and it has no disk of its own.";
                Err(Failure::new(format!("`{name}` is for machines"), detail)
                    .help(format!("Add `vm = true`, or leave `{name}` out."))
                    .about(name))
            }
            None => Ok(()),
        };
    }
    let volumes = planned.get("volumes").and_then(Value::as_entries).map_or(0, |volumes| volumes.len());
    if volumes > disks::MOST {
        let detail =
            format!("It has {volumes}, each of which is a disk. A machine has {} beside its own.", disks::MOST);
        let failure = Failure::new("too many volumes for a machine", detail).help("Use fewer and larger ones.");
        return Err(failure.about("volumes"));
    }
    let of_containers = ["init", "command", "processes", "read_only_root", "shares", "read_only_shares", "on_drift"];
    match of_containers.into_iter().find(|name| is_given(name)) {
        Some(name) => Err(Failure::new(
            format!("a machine has no `{name}`"),
            format!("With `vm = true` the server has a kernel of its own, which this machine cannot ask for `{name}`."),
        )
        .help(format!("Leave `{name}` out, or `vm`."))
        .about(name)),
        None => planned
            .get_str("cloud_init")
            .map_or(Ok(()), |text| seed::check_user_data(text).map_err(|failure| failure.about("cloud_init"))),
    }
}

/// Refuses a machine that this machine cannot run, or cannot run in that way, whatever its image.
pub(crate) fn check_here(planned: &Value) -> Result<(), Failure> {
    let checked = MachineSpec::decode(planned).map_or(Ok(()), |machine| Accelerator::check(machine.emulate));
    checked.map_err(|failure| failure.about("vm"))
}

/// Stops before anything is made where an image cannot be a machine's, or this machine cannot run one.
pub(crate) fn require(machine: MachineSpec, lower: &[PathBuf]) -> Result<(), Failure> {
    let has = |paths: &[&str]| paths.iter().any(|path| lower.iter().any(|layer| layer.join(path).exists()));
    let needs: [(&str, &[&str], &str); 2] = [
        ("cloud-init", &["usr/bin/cloud-init", "bin/cloud-init"], "cloud-init"),
        ("an ssh server", &["usr/sbin/sshd", "usr/bin/sshd", "sbin/sshd"], "openssh-server"),
    ];
    for (what, paths, package) in needs {
        if !has(paths) {
            return Err(Failure::new(
                format!("the image of the machine has no {}", what.trim_start_matches("an ")),
                format!("A machine is told who it is by cloud-init, and is reached over ssh: its image needs {what}."),
            )
            .help(format!("Give one of the image's roles `package \"{package}\" {{}}`."))
            .about("image"));
        }
    }
    Accelerator::choose(machine.emulate).map(drop)
}

/// Starts a machine that does not run, with its address and its own disk, and waits until it is up.
pub(crate) fn start(
    ground: Ground<'_>,
    identity: &Identity,
    spec: &ServerSpec,
    address: Ipv4Addr,
    user: u32,
) -> Result<Vec<String>, Failure> {
    let records = ground.records;
    let directory = records.directory(Kind::Server, identity.as_str());
    let machine = spec.machine.unwrap_or(MachineSpec { emulate: false, disk: None });
    let accelerator = Accelerator::choose(machine.emulate)?;
    let range = network::range(records, &spec.network)?;
    let place = seed::Place {
        address,
        range,
        resolvers: names::resolvers(records, &spec.network, range.gateway),
        mtu: network::mtu(&spec.network),
    };
    if !directory.join(SEED).exists() {
        seed::write(&directory, spec, identity, &place)?;
    }
    lay_own_disk(&directory, ground.disk, machine.disk)?;
    attach::claim(records, identity, &spec.attached)?;
    let volumes = volumes::Volumes::of(records, &spec.attached)?;
    if !spec.attached.is_empty() {
        open(&directory)?;
    }
    let group = Hierarchies::find()?.group(identity.as_str());
    group.create()?;
    group.limit_cpus(spec.cpus)?;
    let mut notes = Vec::new();
    if let Err(failure) = group.limit_memory(Some(accelerator.limit(Size::of(spec)))) {
        // Whoever said how much there is has it kept; for others it is better to run it.
        if spec.memory.is_some() {
            return Err(failure);
        }
        notes.push(format!("What it takes to run `{}` has no limit of memory: {}", spec.name, failure.detail));
    }
    let link = tap::open(&interface("av", identity.as_str()), &place)
        .or_fail(|| "cannot connect the machine to its network".into())?;
    let said = fs::metadata(directory.join(CONSOLE)).map_or(0, |metadata| metadata.len());
    fs::write(directory.join(BOOT), said.to_string()).or_fail(|| format!("cannot write {}", directory.display()))?;
    // Whoever else would use a volume waits, and then finds who has it.
    let held = volumes.hold(records)?;
    let mut given = Given::default();
    let files = Files::open(&directory, link, &mut given).or_fail(|| "cannot open the machine's files".into())?;
    let words = [arguments(spec, accelerator, &place, &files), volumes.give(&mut given)?].concat();
    let user = User { id: user, groups: accelerator.groups()? };
    let process = process::run(&directory, &words, given, &user, &group)?;
    drop(held);
    let limit = accelerator.boot_limit();
    wait_until_told(process, &directory, limit, ground.interrupt)?;
    grow_own(&directory, machine.disk)?;
    if accelerator == Accelerator::None {
        notes.push(format!("`{}` is emulated, many times slower than with KVM, which does not work here.", spec.name));
    }
    if !wait_until_up(process, &directory, address, limit, ground.interrupt)? {
        let limit = limit.as_secs();
        notes.push(format!("`{}` can be logged in to, but its cloud-init was not done after {limit} s.", spec.name));
    }
    volumes.finish(&directory, &login(&directory, address), machine.disk)?;
    Ok(notes)
}

impl Accelerator {
    fn boot_limit(self) -> Duration {
        match self {
            Accelerator::Kvm => BOOT_LIMIT,
            Accelerator::None => EMULATED_BOOT_LIMIT,
        }
    }

    /// What a machine and all that it takes to run it may have of this machine's memory, in bytes.
    fn limit(self, size: Size) -> u64 {
        let own = size.memory_mib << 20;
        own + own / TABLES + BESIDE + self.translations()
    }
}

/// What QEMU knows the machine's files by.
struct Files {
    own: String,
    image: String,
    seed: String,
    console: String,
    control: RawFd,
    link: RawFd,
}

impl Files {
    /// Opens all that a machine has but its volumes, and makes its socket.
    fn open(directory: &Path, link: OwnedFd, given: &mut Given) -> io::Result<Files> {
        let read = |name: &str| File::open(directory.join(name));
        let both = |name: &str| File::options().read(true).write(true).open(directory.join(name));
        let console = File::options().create(true).append(true).mode(0o600).open(directory.join(CONSOLE))?;
        Ok(Files {
            own: given.give_as_path(OWN, [both(OWN)?, read(OWN)?]),
            image: given.give_as_path(IMAGE, [read(IMAGE)?]),
            seed: given.give_as_path(SEED, [read(SEED)?]),
            console: given.give_as_path(CONSOLE, [console]),
            control: given.give(control::listen(directory)?),
            link: given.give(link),
        })
    }
}

/// Makes the machine's own disk over that of its image, where it has none yet. What is below it must stay as it is for as
/// long as the machine is there, whatever becomes of the image: it is the machine's own name of the same file.
fn lay_own_disk(directory: &Path, disk: Option<&Path>, size: Option<u64>) -> Result<(), Failure> {
    let (own, draft, image) = (directory.join(OWN), directory.join("own.draft"), directory.join(IMAGE));
    if own.exists() {
        return Ok(());
    }
    let disk = disk.ok_or_else(|| Failure::new("the machine has no disk", "Nobody made one of its image."))?;
    let failed = || format!("cannot take over the disk {}", disk.display());
    absent_is_fine(fs::remove_file(&image)).or_fail(failed)?;
    match fs::hard_link(disk, &image) {
        // On another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => drop(fs::copy(disk, &image).or_fail(failed)?),
        linked => linked.or_fail(failed)?,
    }
    let least = own_size(&image).or_fail(failed)?;
    if let Some(size) = size.filter(|size| *size < least) {
        let detail = format!("Its image needs {}, and its disk has {}.", format_bytes(least), format_bytes(size));
        return Err(Failure::new("the disk is too small for the image", detail)
            .help(format!("Set `disk` to `{}M` or more, or leave it out.", least.div_ceil(1 << 20)))
            .about("disk"));
    }
    let program = accelerator::program("qemu-img")?;
    let output = Command::new(program)
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", IMAGE])
        .arg(&draft)
        .current_dir(directory)
        .env_clear()
        .output()
        .or_fail(|| "cannot run qemu-img".into())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new("cannot make the machine's own disk", sentence(said.trim())));
    }
    fs::rename(&draft, &own).or_fail(|| format!("cannot make {}", own.display()))
}

/// The words of QEMU. That the machine's own disk lies over its image's, and in which form, is not read from the disk itself,
/// which the machine's process writes.
fn arguments(spec: &ServerSpec, accelerator: Accelerator, place: &seed::Place, files: &Files) -> Vec<OsString> {
    let Size { memory_mib: memory, processors } = Size::of(spec);
    let [a, b, c, d, e, f] = mac(place.address);
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let (accel, cpu) = accelerator.words();
    let Files { own, image, seed, console, control, link } = files;
    let text = format!(
        "-nodefaults -no-user-config -display none -vga none -machine pc -accel {accel} -cpu {cpu} -m {memory} -smp {processors} \
         -drive if=none,id={disk},file={own},format=qcow2,backing.driver=qcow2,backing.file.driver=file,backing.file.filename={image} \
         -device virtio-blk-pci,drive={disk},bootindex=1 \
         -drive if=none,id=seed,file={seed},format=raw,readonly=on -device virtio-blk-pci,drive=seed \
         -netdev tap,id=link,fd={link},vhost=off -device virtio-net-pci,netdev=link,mac={mac},host_mtu={mtu},romfile= \
         -device virtio-rng-pci -chardev file,id=console,path={console},append=on -serial chardev:console \
         -chardev socket,id=control,fd={control},server=on,wait=off -mon chardev=control,mode=control \
         -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        mtu = place.mtu,
        disk = disks::OWN,
    );
    text.split_whitespace().map(OsString::from).collect()
}

/// What a machine has of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub memory_mib: u64,
    pub processors: u64,
}

impl Size {
    /// What is asked for.
    pub fn of(spec: &ServerSpec) -> Size {
        let processors = spec.cpus.unwrap_or(1.0).ceil().max(1.0) as u64;
        Size { memory_mib: spec.memory.unwrap_or(MEMORY).div_ceil(1 << 20), processors }
    }

    /// What a machine that runs was started with.
    pub fn now(process: i32) -> Option<Size> {
        let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let words: Vec<&str> =
            words.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
        Size::of_words(&words)
    }

    fn of_words(words: &[&str]) -> Option<Size> {
        let behind = |name: &str| words.iter().skip_while(|word| **word != name).nth(1)?.parse().ok();
        Some(Size { memory_mib: behind("-m")?, processors: behind("-smp")? })
    }
}

/// The process of a machine, if it runs.
pub(crate) fn running(group: &Group) -> Option<i32> {
    group.find(is_machine_process)
}

fn is_machine_process(process: i32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with(accelerator::QEMU))
}

/// Has a machine shut itself down, and what does not is killed. It is told so twice: its power button is heard only where
/// something in it listens, and over ssh it is told only where it is up.
pub(crate) fn stop(group: &Group, process: i32, directory: &Path, address: Ipv4Addr) -> Result<(), Failure> {
    let told = guest::run_within(&login(directory, address), "shut down", guest::SHUTDOWN, TELL_LIMIT).is_ok();
    if control::press_power_button(directory).is_ok() || told {
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline && is_machine_process(process) {
            std::thread::sleep(PAUSE);
        }
    }
    group.destroy()
}

/// Waits until a machine that somebody else started is up.
pub(crate) fn wait_until_serving(ground: Waiting<'_>, process: i32, address: Ipv4Addr) -> Result<(), Failure> {
    wait_until_up(process, ground.directory, address, EMULATED_BOOT_LIMIT, ground.interrupt).map(drop)
}

/// Where a machine is waited for, and who may end that.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub directory: &'a Path,
    pub interrupt: &'a AtomicBool,
}

/// Waits until a machine answers over ssh and says that it has done all that it was told. False where the time is over and
/// it only answers.
fn wait_until_up(
    process: i32,
    directory: &Path,
    address: Ipv4Addr,
    limit: Duration,
    interrupt: &AtomicBool,
) -> Result<bool, Failure> {
    let from = fs::read_to_string(directory.join(BOOT)).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let deadline = Instant::now() + limit;
    let mut answers = false;
    let mut ask_at = Instant::now() + ASK_EVERY;
    loop {
        goes_on(process, directory, interrupt)?;
        if !answers && Instant::now() >= ask_at {
            answers = answers_over_ssh(address);
            ask_at = Instant::now() + ASK_EVERY;
        }
        if answers && has_finished(directory, from) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return match answers {
                true => Ok(false),
                false => {
                    let summary = format!("the machine cannot be logged in to after {} s", limit.as_secs());
                    Err(Failure::new(summary, last_words(directory)))
                }
            };
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until QEMU can be told what to do.
fn wait_until_told(process: i32, directory: &Path, limit: Duration, interrupt: &AtomicBool) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    while let Err(error) = control::Control::open(directory) {
        goes_on(process, directory, interrupt)?;
        if Instant::now() > deadline {
            let summary = format!("the machine's QEMU does not answer after {} s", limit.as_secs());
            return Err(Failure::new(summary, sentence(&error.to_string())));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Fails where a machine that boots has ended, or nobody wants it any more.
fn goes_on(process: i32, directory: &Path, interrupt: &AtomicBool) -> Result<(), Failure> {
    if !is_machine_process(process) {
        return Err(Failure::new("the machine ended while it booted", last_words(directory)));
    }
    if interrupt.load(Ordering::Relaxed) {
        let detail = "It was waited for until it can be logged in to.";
        return Err(Failure::new("the boot of the machine was interrupted", detail));
    }
    Ok(())
}

fn answers_over_ssh(address: Ipv4Addr) -> bool {
    let machine = SocketAddr::from((address, 22));
    let Ok(mut stream) = TcpStream::connect_timeout(&machine, ASK_EVERY) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(ANSWER_LIMIT)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"SSH-"
}

fn has_finished(directory: &Path, from: u64) -> bool {
    let said = since(&directory.join(CONSOLE), from).unwrap_or_default();
    String::from_utf8_lossy(&said)
        .lines()
        .any(|line| FINISHED.iter().any(|words| words.iter().all(|word| line.contains(word))))
}

fn since(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut said = Vec::new();
    file.read_to_end(&mut said)?;
    Ok(said)
}

/// What QEMU and the machine had to say, as the end of a message.
fn last_words(directory: &Path) -> String {
    let read = |path: PathBuf| {
        let text = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        lines.into_iter().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    };
    match [MONITOR, CONSOLE].map(|name| directory.join(name)).map(read).join("\n").trim() {
        "" => "It said nothing.".to_owned(),
        said => sentence(&format!("It said at last: {said}")),
    }
}

/// How a machine is logged in to, from its directory.
pub(crate) fn login(directory: &Path, address: Ipv4Addr) -> Login {
    Login { address, key: directory.join(KEY), known_hosts: directory.join(KNOWN_HOSTS) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_machine_has_not_what_only_a_container_has() {
        let server = |given: &[(&'static str, Value)]| Value::object(given.iter().cloned());
        let machine = ("vm", Value::from(true));
        assert!(agree(&server(&[])).is_ok());
        assert!(agree(&server(std::slice::from_ref(&machine))).is_ok());
        assert!(agree(&server(&[machine.clone(), ("emulate", true.into()), ("memory", "2G".into())])).is_ok());
        let nothing = Value::map(Type::String, Vec::<(String, Value)>::new());
        assert!(agree(&server(&[machine.clone(), ("volumes", nothing), ("read_only_root", false.into())])).is_ok());
        for (name, value) in [
            ("init", Value::from("andon")),
            ("processes", 10.into()),
            ("read_only_root", true.into()),
            ("shares", Value::map(Type::String, [("/srv", Value::from("a"))])),
            ("read_only_shares", Value::map(Type::String, [("/srv", Value::from("a"))])),
            ("on_drift", "report".into()),
        ] {
            let failure = agree(&server(&[machine.clone(), (name, value)])).unwrap_err();
            assert!(failure.summary.contains(name), "{failure}");
        }
        let volumes = |count: usize| {
            let all = (0..count).map(|number| (format!("/srv/{number}"), Value::from(number.to_string())));
            ("volumes", Value::map(Type::String, all))
        };
        assert!(agree(&server(&[machine.clone(), volumes(disks::MOST)])).is_ok());
        assert!(agree(&server(&[machine.clone(), volumes(disks::MOST + 1)])).is_err());
        assert!(agree(&server(&[volumes(disks::MOST + 1)])).is_ok());
        assert!(agree(&server(&[("emulate", true.into())])).is_err());
        assert!(agree(&server(&[("disk", "10G".into())])).is_err());
        assert!(agree(&server(&[("emulate", true.into()), ("vm", Value::unknown(Type::Bool))])).is_ok());
    }

    #[test]
    fn the_disk_of_a_machine_only_grows() {
        let size = |text: &str| {
            let disk = ("disk", Value::from(text));
            Value::object([("vm", Value::from(true)), disk].into_iter().filter(|(_, value)| value != &Value::from("")))
        };
        for (before, after, sound) in
            [("", "10G", true), ("10G", "", true), ("10G", "10240M", true), ("10G", "12G", true), ("10G", "9G", false)]
        {
            assert_eq!(check_change(&size(before), &size(after)).is_ok(), sound, "{before} {after}");
        }
        let unknown = Value::object([("vm", Value::from(true)), ("disk", Value::unknown(Type::String))]);
        assert!(check_change(&size("10G"), &unknown).is_ok());
        for (text, sound) in
            [("64M", true), ("10G", true), ("1.5G", true), ("63M", false), ("65537K", false), ("x", false)]
        {
            assert_eq!(disk_size(text).is_ok(), sound, "{text}");
        }
        assert_eq!(MachineSpec::decode(&size("10G")), Some(MachineSpec { emulate: false, disk: Some(10 << 30) }));
    }

    /// What looks like a machine, as far as its process goes.
    #[test]
    fn a_machine_is_its_process() {
        let Ok(hierarchies) = Hierarchies::find() else { return println!("skipped: there are no control groups") };
        let identity = Identity::parse(&format!("vm-test-{}", std::process::id())).unwrap();
        let group = hierarchies.group(identity.as_str());
        if group.create().is_err() {
            return println!("skipped: no control group can be made here");
        }
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(accelerator::QEMU);
        fs::copy("/bin/sleep", &program).unwrap();
        let mut command = Command::new(&program);
        let entered = group.clone();
        // SAFETY: writes files and allocates, which is sound where no thread holds the allocator's lock for good.
        unsafe { command.arg("60").pre_exec(move || entered.enter()) };
        let mut machine = command.spawn().unwrap();
        assert_eq!(running(&group), Some(machine.id() as i32));
        assert!(crate::server::runs(&identity) && crate::server::running_init(&identity).is_none());
        // Nobody answers at its socket, so that nothing is waited for.
        let begin = Instant::now();
        let interrupt = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = Waiting { directory: folder.path(), interrupt: &interrupt };
            let process = machine.id() as i32;
            let waiter = scope.spawn(move || wait_until_serving(waiting, process, Ipv4Addr::LOCALHOST));
            std::thread::sleep(PAUSE * 2);
            interrupt.store(true, Ordering::Relaxed);
            assert_eq!(waiter.join().unwrap().unwrap_err().summary, "the boot of the machine was interrupted");
        });
        machine.kill().unwrap();
        machine.wait().unwrap();
        assert!(running(&group).is_none() && !crate::server::runs(&identity), "what was killed does not run");
        let ended = wait_until_up(machine.id() as i32, folder.path(), Ipv4Addr::LOCALHOST, BOOT_LIMIT, &false.into());
        assert_eq!(ended.unwrap_err().summary, "the machine ended while it booted");
        assert!(begin.elapsed() < BOOT_LIMIT);
        group.destroy().unwrap();
    }

    #[test]
    fn the_size_of_a_machine_is_read_back() {
        let server = |given: &[(&'static str, Value)]| {
            let named = [("name", Value::from("db")), ("network", "n".into()), ("vm", true.into())];
            ServerSpec::decode(&Value::object(named.into_iter().chain(given.iter().cloned()))).unwrap()
        };
        let place = seed::Place {
            address: "10.64.1.7".parse().unwrap(),
            range: network::Range { net: "10.64.1.0/24".parse().unwrap(), gateway: "10.64.1.1".parse().unwrap() },
            resolvers: String::new(),
            mtu: 1500,
        };
        let check = |given: &[(&'static str, Value)], memory_mib: u64, processors: u64| {
            let [own, image, seed, console] = ["1", "2", "3", "4"].map(str::to_owned);
            let files = Files { own, image, seed, console, control: 5, link: 6 };
            let words = arguments(&server(given), Accelerator::None, &place, &files);
            let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
            assert_eq!(Size::of_words(&words), Some(Size { memory_mib, processors }));
            assert!(words.contains(&"tcg,thread=multi,tb-size=256"));
        };
        check(&[], 1024, 1);
        check(&[("memory", "1536M".into()), ("cpus", Value::from(2))], 1536, 2);
    }

    #[test]
    fn what_cloud_init_says_at_its_end_counts_since_the_last_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = "[  5.1] cloud-init[300]: Cloud-init v. 22.4.2 finished at Mon, 01 Jan 2024 00:00:00 +0000.\n";
        fs::write(folder.path().join(CONSOLE), format!("booting\n{first}booting\n")).unwrap();
        assert!(has_finished(folder.path(), 0));
        let from = 8 + first.len() as u64;
        assert!(!has_finished(folder.path(), from));
        assert!(last_words(folder.path()).ends_with("booting."));
        let by_systemd = "[\u{1b}[0;32m  OK  \u{1b}[0m] Reached target \u{1b}[0;1;39mcloud-init.target\u{1b}[0m - Cloud-init target.\n";
        fs::write(folder.path().join(CONSOLE), format!("booting\n{first}booting\n{by_systemd}")).unwrap();
        assert!(has_finished(folder.path(), from));
    }
}
