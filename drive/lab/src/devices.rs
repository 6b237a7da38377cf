//! Which devices a server can open: those that it is given, and its own terminals.
//!
//! An image may bring device files, and whoever is root of a server may change how its file systems are mounted. So not its
//! files and mounts say which devices there are, but the kernel, which asks a small program of the server's control group:
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller>. What the program is given and what it answers is
//! `struct bpf_cgroup_dev_ctx` of linux/bpf.h.

use std::ffi::{c_int, c_long};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::failure::sentence;
use crate::helper::check;

/// Character devices by their major number, with the first and the last of the minor ones: null; zero; full, random and urandom;
/// the controlling terminal; and what makes new terminals (Documentation/admin-guide/devices.txt).
const ALLOWED: [(i32, i32, i32); 5] = [(1, 3, 3), (1, 5, 5), (1, 7, 9), (5, 0, 0), (5, 2, 2)];

/// The major numbers of those.
const TERMINALS: (i32, i32) = (136, 143);

/// `struct bpf_insn`: what to do, the registers in one byte, how far to jump, and a number.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    jump: i16,
    number: i32,
}

/// The kinds that are needed, of the instruction set in RFC 9669.
const LOAD_WORD: u8 = 0x61;
const AND_NUMBER: u8 = 0x54;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const JUMP_IF_LESS: u8 = 0xa5;
const JUMP_IF_MORE: u8 = 0x25;
const SET_NUMBER: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// What is asked about: a block device or a character device, in the lower half of the first word.
const KIND: i32 = 0xffff;
const CHARACTER: i32 = 2;

/// Registers: the answer, the question, and its words.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND_AT: u8 = 2;
const MAJOR_AT: u8 = 3;
const MINOR_AT: u8 = 4;

fn program() -> Vec<Instruction> {
    let with = |code: u8, registers: u8, jump: i16, number: i32| Instruction { code, registers, jump, number };
    let load = |to: u8, offset: i16| with(LOAD_WORD, QUESTION << 4 | to, offset, 0);
    let answer = |number: i32| [with(SET_NUMBER, ANSWER, 0, number), with(EXIT, 0, 0, 0)];
    let mut program = vec![load(KIND_AT, 0), load(MAJOR_AT, 4), load(MINOR_AT, 8), with(AND_NUMBER, KIND_AT, 0, KIND)];
    program.push(with(JUMP_UNLESS_EQUAL, KIND_AT, 0, CHARACTER));
    let is_other_kind = program.len() - 1;
    // Each leads past its answer where it does not hold.
    for (major, first, last) in ALLOWED {
        program.push(with(JUMP_UNLESS_EQUAL, MAJOR_AT, 4, major));
        program.extend([with(JUMP_IF_LESS, MINOR_AT, 3, first), with(JUMP_IF_MORE, MINOR_AT, 2, last)]);
        program.extend(answer(1));
    }
    let (first, last) = TERMINALS;
    program.extend([with(JUMP_IF_LESS, MAJOR_AT, 3, first), with(JUMP_IF_MORE, MAJOR_AT, 2, last)]);
    program.extend(answer(1));
    let refusal = program.len();
    if let Some(jump) = program.get_mut(is_other_kind) {
        jump.jump = i16::try_from(refusal - is_other_kind - 1).unwrap_or(i16::MAX);
    }
    program.extend(answer(0));
    program
}

/// The beginning of `union bpf_attr`, as `BPF_PROG_LOAD` reads it.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
}

/// The same, as `BPF_PROG_ATTACH` reads it.
#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const PROG_LOAD: c_int = 5;
const PROG_ATTACH: c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;

/// Lets what runs in a control group of version 2, and below it, open no other devices. Again, it is the same.
///
/// # Errors
///
/// Where the kernel cannot, as it may be built without, or does not let this user.
pub(crate) fn confine(group: &File) -> io::Result<()> {
    let instructions = program();
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        licence: c"".as_ptr() as u64,
    };
    // SAFETY: all that is pointed to lives through the call, and is as long as it is said to be.
    let loaded = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) })?;
    // SAFETY: the kernel has just opened it, for this process alone.
    let program = unsafe { OwnedFd::from_raw_fd(loaded as c_int) };
    let attach = Attach {
        group: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        // In place of the one that is there.
        flags: 0,
    };
    // SAFETY: as above.
    let attached: c_long = unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) };
    check(attached).map(drop)
}

/// What is to be said where the kernel cannot.
pub(crate) fn unconfined(error: &io::Error) -> String {
    let lacks = matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS));
    let cause = if lacks { "this kernel has no CONFIG_CGROUP_BPF" } else { "this kernel refuses to filter them" };
    let error = sentence(&error.to_string());
    format!("Nothing but its mounts keeps devices from a server here, as {cause}. It said: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers, as the kernel would run it.
    fn opens(kind: i32, major: i32, minor: i32) -> bool {
        let (program, words) = (program(), [kind | 6 << 16, major, minor]);
        let mut registers = [0_i32; 8];
        let mut at = 0_usize;
        loop {
            let Instruction { code, registers: named, jump, number } = program[at];
            let of = usize::from(named & 15);
            let jumps = match code {
                LOAD_WORD => {
                    registers[of] = words[usize::try_from(jump / 4).unwrap()];
                    false
                }
                AND_NUMBER => {
                    registers[of] &= number;
                    false
                }
                SET_NUMBER => {
                    registers[of] = number;
                    false
                }
                JUMP_UNLESS_EQUAL => registers[of] != number,
                JUMP_IF_LESS => registers[of] < number,
                JUMP_IF_MORE => registers[of] > number,
                EXIT => return registers[0] == 1,
                other => panic!("{other:x}"),
            };
            at += 1 + if jumps { usize::try_from(jump).unwrap() } else { 0 };
        }
    }

    #[test]
    fn a_server_opens_what_it_is_given() {
        let (block, character) = (1, 2);
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 0), (136, 77), (143, 255)]
        {
            assert!(opens(character, major, minor), "{major}:{minor}");
            assert!(!opens(block, major, minor), "{major}:{minor}");
        }
        // Memory, ports, the log of the kernel, consoles, disks, machines of their own, terminals of this machine.
        let others =
            [(1, 1), (1, 4), (1, 6), (1, 10), (1, 11), (4, 0), (5, 1), (5, 3), (8, 0), (10, 232), (135, 0), (144, 0)];
        for (major, minor) in others {
            assert!(!opens(character, major, minor) && !opens(block, major, minor), "{major}:{minor}");
        }
    }
}
