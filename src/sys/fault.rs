//! A fault of our own is told: where it is, what called it, what to do. The program ends as one that found a defect.
//!
//! The std of our releases panics without words (tools/musl-std): a panic is an instruction that faults, and is told as a
//! wild access or a stack that overflowed are. `tools/where` makes lines of the addresses.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{null_mut, with_exposed_provenance};
use std::slice;

use heapless::String;
use libc::{Elf64_Ehdr, Elf64_Phdr, siginfo_t, stack_t, ucontext_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};

use crate::error::Kind;
use crate::ids::Arch;

/// A stack for the handler: what the kernel saves there (10 KiB with the widest vectors of arm64), and what it needs itself.
pub const STACK: usize = 16 << 10;
/// The most callers that are told.
const CALLERS: usize = 16;
/// The most words of the stack that are looked at for them.
const DEPTH: usize = 4096;
/// An access so near to the stack's end is one to the stack: where that failed, it is full.
const NEAR: usize = 64 << 10;
/// The largest page there may be: above the one that was missing, the stack is there.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4 << 10 } else { 64 << 10 };

/// A panic (x86-64: `ud2`, arm64: `brk`), an abort, an access to what is not there.
const SIGNALS: [Signal; 5] = [Signal::SIGILL, Signal::SIGTRAP, Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGBUS];

/// From now on a fault is told. Programs that we start get the default again, as execve(2) has it.
pub fn install() {
    // Everything is blocked in the handler: a fault in there ends the program as if it had none.
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(tell), flags, SigSet::all());
    for signal in SIGNALS {
        // There is nothing wrong with any of them, ignoring.
        // WHY: installing a handler is unsafe in nix, as a handler may do things that are not allowed in one.
        // SAFETY: `tell` makes system calls and texts in its own frame (signal-safety(7)), and never goes back to what
        // was interrupted.
        let _ = unsafe { sigaction(signal, &action) };
    }
    // The kernel does not ask the handler of a signal that is blocked, as it may have been handed down, ignoring likewise.
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from_iter(SIGNALS)), None);
}

/// Does `work` with a stack aside for the handler, so that an overflow of this thread's can be told. Each thread needs its
/// own, and begins with this: what lies between the fault and here are its callers.
pub fn covered<T>(work: impl FnOnce() -> T) -> T {
    let mut place = MaybeUninit::<[u8; STACK]>::uninit();
    let aside = stack_t { ss_sp: place.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    let _cover = Cover::new(&aside);
    work()
}

/// The stack of before, which comes back.
struct Cover(stack_t);

impl Cover {
    fn new(aside: &stack_t) -> Self {
        let mut before = stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // WHY: nix has no alternate stacks.
        // SAFETY: the stack is an array of `covered` that nothing else uses and that outlives this value, whose end takes
        // it away again. It is large enough not to be refused; if it were, there is none, ignoring.
        let _ = unsafe { libc::sigaltstack(aside, &mut before) };
        Cover(before)
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        // SAFETY: what the kernel told was there before; whoever put it there still holds it. Ignoring as above.
        let _ = unsafe { libc::sigaltstack(&self.0, null_mut()) };
    }
}

/// Ends the program for want of memory: std's own words for it went with those of panics.
pub fn out_of_memory(bytes: usize) -> ! {
    let mut line = Line::new();
    line.add(format_args!("error: out of memory: {bytes} bytes more were refused\n"));
    line.add(format_args!("hint: free memory or raise the limit, then {AGAIN}\n"));
    line.end(Kind::Host)
}

const AGAIN: &str = "run the same command again: finished steps are skipped";

/// What is written at once. Longer ones are cut.
struct Line(String<1024>);

impl Line {
    fn new() -> Self {
        Line(String::new())
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Where it is full, the rest is lost, ignoring.
        let _ = self.0.write_fmt(text);
    }

    fn write(&mut self) {
        // Whether it was heard changes nothing any more, ignoring.
        let _ = nix::unistd::write(std::io::stderr(), self.0.as_bytes());
        self.0.clear();
    }

    fn end(&mut self, kind: Kind) -> ! {
        self.write();
        // SAFETY: _exit(2) runs no destructors and no handlers, and does not return.
        unsafe { libc::_exit(kind.exit_code().into()) }
    }
}

/// The handler.
extern "C" fn tell(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both of these types to a handler that asks for them with SA_SIGINFO, for its time.
    let (info, context) = unsafe { (&*info, &*context.cast::<ucontext_t>()) };
    if !is_fault(number, info) {
        // Somebody sent it: it does what it does without a handler, as soon as this one returns.
        // SAFETY: the default is no handler, and both calls are allowed in one.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
            libc::raise(number);
        }
        return;
    }
    let (image, place) = (Image::of_this_program(), Place::of(context));
    let (version, arch) = (env!("CARGO_PKG_VERSION"), Arch::of_this_binary().map_or("?", Arch::as_str));
    let name = Signal::try_from(number).map_or("?", Signal::as_str);
    let mut line = Line::new();
    line.add(format_args!(
        "error: a defect of edgelay {version} linux/{arch}: {name} at {:#x}",
        image.relative(place.at)
    ));
    let mut from = place.stack;
    if matches!(number, libc::SIGSEGV | libc::SIGBUS) {
        // SAFETY: these signals have an address.
        let touched = unsafe { info.si_addr() }.addr();
        if touched.abs_diff(place.stack) < NEAR {
            line.add(format_args!(", the stack is full"));
            from = (touched.max(place.stack) | (PAGE - 1)).saturating_add(1);
        } else {
            line.add(format_args!(", touching {touched:#x}"));
        }
    }
    // What follows reads what may be in disorder.
    line.write();
    image.callers(&mut line, place.link, from..context.uc_stack.ss_sp.addr());
    line.add(format_args!("\nhint: report the line above; {AGAIN}\n"));
    line.end(Kind::Bug)
}

/// Whether this program did it: the kernel says so of a fault, and abort(3) sends a signal to its own thread.
fn is_fault(number: c_int, info: &siginfo_t) -> bool {
    // SAFETY: a signal that was sent has a sender.
    let by_us = || unsafe { info.si_pid() } == nix::unistd::getpid().as_raw();
    info.si_code > 0 || (number == libc::SIGABRT && info.si_code == libc::SI_TKILL && by_us())
}

/// Where a thread was interrupted.
struct Place {
    at: usize,
    stack: usize,
    /// Where the present function returns to, if a register holds it.
    link: usize,
}

impl Place {
    #[cfg(target_arch = "x86_64")]
    fn of(context: &ucontext_t) -> Self {
        let register = |number: c_int| {
            let value = usize::try_from(number).ok().and_then(|number| context.uc_mcontext.gregs.get(number));
            value.map_or(0, |value| whole(value.cast_unsigned()))
        };
        Place { at: register(libc::REG_RIP), stack: register(libc::REG_RSP), link: 0 }
    }

    #[cfg(target_arch = "aarch64")]
    fn of(context: &ucontext_t) -> Self {
        let registers = &context.uc_mcontext;
        let link = registers.regs.last().copied().unwrap_or_default();
        Place { at: whole(registers.pc), stack: whole(registers.sp), link: whole(link) }
    }
}

/// Both processors have words of 64 bits.
fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// This program as it was loaded.
struct Image {
    /// How far from where the file says: nothing, unless that is left to the kernel.
    moved: usize,
    code: Range<usize>,
}

unsafe extern "C" {
    /// The linker's name for the place of the file's first byte.
    static __ehdr_start: Elf64_Ehdr;
}

impl Image {
    fn of_this_program() -> Self {
        // WHY: dl_iterate_phdr(3) takes a lock.
        // SAFETY: the first segment that is loaded begins with the file's header, and holds the table of segments at the
        // place and of the length that the header says; both are never written.
        let (first, segments) = unsafe {
            let header = &raw const __ehdr_start;
            let table = header.byte_add(whole((*header).e_phoff)).cast::<Elf64_Phdr>();
            (header.addr(), slice::from_raw_parts(table, (*header).e_phnum.into()))
        };
        let mut loaded = segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD);
        let moved = first.wrapping_sub(loaded.clone().next().map_or(0, |segment| whole(segment.p_vaddr)));
        let code = loaded.find(|segment| segment.p_flags & libc::PF_X != 0).map_or(0..0, |segment| {
            let start = moved.wrapping_add(whole(segment.p_vaddr));
            start..start.saturating_add(whole(segment.p_memsz))
        });
        Image { moved, code }
    }

    /// As the tools count that read the file.
    fn relative(&self, address: usize) -> usize {
        address.wrapping_sub(self.moved)
    }

    /// Adds what lies on the stack and looks like a place to return to: there are no tables that would tell for sure.
    fn callers(&self, line: &mut Line, link: usize, stack: Range<usize>) {
        let start = stack.start.next_multiple_of(size_of::<usize>());
        let words = (stack.end.saturating_sub(start) / size_of::<usize>()).min(DEPTH);
        // SAFETY: between the stack's end and the handler's stack, an array of `covered` further up on the same one, all is
        // memory of this thread, which does not run meanwhile; any word is a number.
        let words = unsafe { slice::from_raw_parts(with_exposed_provenance::<usize>(start), words) };
        let all = [link].into_iter().chain(words.iter().copied());
        let mut words = ", called from";
        for address in all.filter(|address| self.is_after_call(*address)).take(CALLERS) {
            line.add(format_args!("{words} {:#x}", self.relative(address)));
            words = "";
        }
    }

    /// Whether the instruction before `address` is a call.
    fn is_after_call(&self, address: usize) -> bool {
        const LONGEST: usize = 7;
        let Some(start) = address.checked_sub(LONGEST).filter(|start| self.code.contains(start)) else { return false };
        if address >= self.code.end {
            return false;
        }
        // SAFETY: the bytes are of the code, which is loaded to be read and never written.
        is_call(unsafe { &*with_exposed_provenance::<[u8; LONGEST]>(start) })
    }
}

/// Whether the bytes end with a call: of a fixed distance, of a register or through memory (Intel SDM 2A, CALL).
#[cfg(target_arch = "x86_64")]
fn is_call(bytes: &[u8; 7]) -> bool {
    match bytes {
        [_, _, 0xe8, _, _, _, _] => true,
        [.., 0xff, mode] if mode & 0x38 == 0x10 => true,
        [.., 0xff, mode, _] if mode & 0xf8 == 0x50 => true,
        [.., 0xff, 0x54, _, _] => true,
        [_, 0xff, mode, _, _, _, _] => *mode == 0x15 || mode & 0xf8 == 0x90,
        _ => false,
    }
}

/// Whether the bytes end with a call: of a fixed distance or of a register (Arm ARM, BL and BLR).
#[cfg(target_arch = "aarch64")]
fn is_call(bytes: &[u8; 7]) -> bool {
    let [_, _, _, word @ ..] = *bytes;
    let word = u32::from_le_bytes(word);
    word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "another process of this test tells it what to do")]
mod tests {
    use super::*;
    use crate::sys::thread;
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::kill;
    use nix::unistd::{ForkResult, fork, getpid};
    use std::arch::asm;
    use std::hint::black_box;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const CASE: &str = "EDGELAY_TEST_FAULT";

    /// As a panic does in a release.
    #[inline(never)]
    fn trip() {
        // SAFETY: the test is that this does not come back.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!("ud2");
            #[cfg(target_arch = "aarch64")]
            asm!("brk #1");
        }
    }

    #[inline(never)]
    fn calls() {
        trip();
        black_box(());
    }

    #[inline(never)]
    fn deep(n: u64) -> u64 {
        let much = [n; 100];
        black_box(&much);
        // It never comes to that.
        if n == u64::MAX { 0 } else { deep(n + 1).wrapping_add(1) }
    }

    fn touch() {
        // SAFETY: as above; nothing is there.
        unsafe { with_exposed_provenance::<u8>(0x10).read_volatile() };
    }

    /// Runs in a process of its own, see below.
    #[test]
    fn inside() {
        let Ok(case) = std::env::var(CASE) else { return };
        let place = |function: fn()| Image::of_this_program().relative(function as *const () as usize);
        let places = format!("{} {}\n", place(trip), place(calls));
        nix::unistd::write(std::io::stderr(), places.as_bytes()).unwrap();
        if case == "blocked" {
            SigSet::all().thread_block().unwrap();
        }
        install();
        covered(|| match case.as_str() {
            "trip" | "blocked" => calls(),
            "aside" => drop(thread::beside(64 << 10, calls, || std::thread::sleep(std::time::Duration::MAX))),
            "abort" => std::process::abort(),
            "touch" => touch(),
            "deep" => drop(black_box(deep(0))),
            "deep aside" => drop(thread::beside(64 << 10, || deep(0), || ())),
            "full" => {
                setrlimit(Resource::RLIMIT_AS, 1 << 30, 1 << 30).unwrap();
                drop(black_box(Vec::<u8>::with_capacity(2 << 30)));
            }
            // SAFETY: the child makes system calls only.
            "child" => match unsafe { fork() }.unwrap() {
                ForkResult::Child => calls(),
                ForkResult::Parent { child } => {
                    assert_eq!(crate::sys::child::wait(child), Ok(crate::sys::child::End::Status(1)));
                }
            },
            sent => {
                kill(getpid(), Signal::try_from(sent.parse::<i32>().unwrap()).unwrap()).unwrap();
                std::thread::sleep(std::time::Duration::MAX);
            }
        });
    }

    /// Exit code or signal, where `trip` and `calls` begin, and what was said.
    fn run(case: &str) -> (Result<i32, i32>, [usize; 2], std::string::String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "sys::fault::tests::inside", "--nocapture"]).env(CASE, case);
        let ended = command.output().unwrap();
        let said = std::string::String::from_utf8(ended.stderr).unwrap();
        let (places, said) = said.split_once('\n').unwrap();
        let places: Vec<usize> = places.split(' ').map(|place| place.parse().unwrap()).collect();
        let status = ended.status;
        (status.code().ok_or_else(|| status.signal().unwrap()), places.try_into().unwrap(), said.to_owned())
    }

    fn head(signal: &str) -> std::string::String {
        let arch = Arch::of_this_binary().unwrap();
        format!("error: a defect of edgelay {} linux/{arch}: {signal} at 0x", env!("CARGO_PKG_VERSION"))
    }

    const TAIL: &str = "\nhint: report the line above; run the same command again: finished steps are skipped\n";
    const TRAP: &str = if cfg!(target_arch = "x86_64") { "SIGILL" } else { "SIGTRAP" };

    /// Numbers after `0x`.
    fn addresses(line: &str) -> Vec<usize> {
        let hex = |word: &str| usize::from_str_radix(word.strip_prefix("0x")?.trim_end_matches(','), 16).ok();
        line.split_whitespace().filter_map(hex).collect()
    }

    #[test]
    fn a_trap_is_told_with_its_place_and_callers() {
        for case in ["trip", "blocked", "aside", "child"] {
            let (end, [trip, calls], said) = run(case);
            assert_eq!(end, Ok(if case == "child" { 0 } else { 1 }), "{case}: {said}");
            assert!(said.starts_with(&head(TRAP)) && said.ends_with(TAIL), "{case}: {said}");
            let [at, callers @ ..] = &addresses(&said)[..] else { panic!("{said}") };
            assert!((trip..trip + 32).contains(at), "{case}: {trip:#x} in {said}");
            assert!(callers.iter().any(|at| (calls..calls + 64).contains(at)), "{case}: {calls:#x} in {said}");
        }
    }

    #[test]
    fn other_faults_are_told() {
        for (case, signal, words) in [
            ("abort", "SIGABRT", ", called from 0x"),
            ("touch", "SIGSEGV", ", touching 0x10, called from 0x"),
            ("deep", "SIGSEGV", ", the stack is full, called from 0x"),
            ("deep aside", "SIGSEGV", ", the stack is full, called from 0x"),
        ] {
            let (end, _, said) = run(case);
            assert_eq!(end, Ok(1), "{case}: {said}");
            assert!(said.starts_with(&head(signal)) && said.contains(words) && said.ends_with(TAIL), "{case}: {said}");
        }
    }

    #[test]
    fn want_of_memory_is_told_and_is_no_defect() {
        let (end, _, said) = run("full");
        assert_eq!(end, Ok(6), "{said}");
        assert_eq!(
            said,
            "error: out of memory: 2147483648 bytes more were refused\nhint: free memory or raise the limit, then run \
             the same command again: finished steps are skipped\n"
        );
    }

    #[test]
    fn a_signal_that_was_sent_ends_it_as_ever() {
        for signal in SIGNALS {
            let number = signal as i32;
            let (end, _, said) = run(&number.to_string());
            assert_eq!((end, said.as_str()), (Err(number), ""), "{signal}");
        }
    }

    #[test]
    fn calls_are_known_by_their_bytes() {
        #[cfg(target_arch = "x86_64")]
        let (calls, others) = (
            [
                [0, 0, 0xe8, 1, 2, 3, 4],       // call rel32
                [0, 0, 0, 0, 0, 0xff, 0xd0],    // call rax
                [0, 0, 0, 0, 0, 0xff, 0x13],    // call [rbx]
                [0, 0, 0, 0, 0xff, 0x50, 8],    // call [rax + 8]
                [0, 0, 0, 0xff, 0x54, 0x24, 8], // call [rsp + 8]
                [0, 0xff, 0x15, 1, 2, 3, 4],    // call [rip + d]
                [0, 0xff, 0x90, 1, 2, 3, 4],    // call [rax + d]
            ],
            [[0; 7], [0, 0, 0xe9, 1, 2, 3, 4], [0, 0, 0, 0, 0, 0xff, 0xe0], [0, 0xff, 0x25, 1, 2, 3, 4]], // jumps
        );
        #[cfg(target_arch = "aarch64")]
        let (calls, others) = (
            [[0, 0, 0, 1, 0, 0, 0x94], [0, 0, 0, 0, 1, 0x3f, 0xd6]], // bl, blr x8
            [[0, 0, 0, 1, 0, 0, 0x14], [0, 0, 0, 0, 1, 0x1f, 0xd6]], // b, br x8
        );
        assert!(calls.iter().all(is_call));
        assert!(!others.iter().any(is_call));
    }
}
