//! Lets the wall clock of single processes jump: loaded into one before the system's own libraries (`LD_PRELOAD`), it takes the
//! place of the calls that tell the time of day, and adds as many seconds as a file says at this moment.
//!
//! `PICKET_WALLCLOCK` names the file: 8 bytes, a signed number, little-endian. It is mapped into memory, so whoever changes
//! it sets the clocks of all processes that have it at once. The clock that only runs forwards is left alone, as when an
//! operator sets a clock. A program called `mongod` keeps its own time.
#![allow(
    unsafe_code,
    reason = "these functions are the C library's, and are called by whatever program this is loaded into"
)]

use std::ffi::{CStr, c_char, c_int, c_long};
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU8, Ordering};

use libc::{clockid_t, time_t, timespec, timeval};

unsafe extern "C" {
    static program_invocation_short_name: *const c_char;
}

/// What the mapped file says; null when there is none.
static SHIFT: AtomicPtr<AtomicI64> = AtomicPtr::new(ptr::null_mut());
/// Whether `SHIFT` was looked for.
static LOOKED: AtomicU8 = AtomicU8::new(0);

fn shift() -> time_t {
    if LOOKED.swap(1, Ordering::AcqRel) == 0 {
        SHIFT.store(look(), Ordering::Release);
    }
    let shift = SHIFT.load(Ordering::Acquire);
    // SAFETY: what is not null is the start of a page that stays mapped for as long as the process lives.
    unsafe { shift.as_ref() }.map_or(0, |shift| i64::from_le(shift.load(Ordering::Relaxed)))
}

/// Nothing here may ask for the time, or allocate: the allocator may be the one who asks.
fn look() -> *mut AtomicI64 {
    // SAFETY: the C library sets the name before any code of the program runs, and both strings end with a zero; the mapping
    // is of a whole page, so aligned, and never unmapped. A file that is too short has the process end when it is read.
    unsafe {
        if !program_invocation_short_name.is_null() && CStr::from_ptr(program_invocation_short_name) == c"mongod" {
            return ptr::null_mut();
        }
        let path = libc::getenv(c"PICKET_WALLCLOCK".as_ptr());
        if path.is_null() {
            return ptr::null_mut();
        }
        let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return ptr::null_mut();
        }
        let page = libc::mmap(ptr::null_mut(), 8, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::close(file);
        if page == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        page.cast()
    }
}

/// As the C library's.
///
/// # Safety
/// `time` points to room for a time, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller's promise; the system checks the address.
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) };
    if answer == 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the system has just written there.
        if let Some(time) = unsafe { time.as_mut() } {
            time.tv_sec = time.tv_sec.saturating_add(shift());
        }
    }
    c_int::try_from(answer).unwrap_or(-1)
}

/// As the C library's.
///
/// # Safety
/// `time` points to room for a time, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut libc::c_void) -> c_int {
    // SAFETY: the caller's promise; the system checks the addresses.
    let answer = unsafe { libc::syscall(libc::SYS_gettimeofday, time, zone) };
    // SAFETY: as above.
    if answer == 0
        && let Some(time) = unsafe { time.as_mut() }
    {
        time.tv_sec = time.tv_sec.saturating_add(shift());
    }
    c_int::try_from(answer).unwrap_or(-1)
}

/// As the C library's.
///
/// # Safety
/// `time` points to room for a time, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a time.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    // SAFETY: the caller's promise.
    if let Some(time) = unsafe { time.as_mut() } {
        *time = now.tv_sec;
    }
    now.tv_sec
}
