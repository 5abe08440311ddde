//! The boundary under Miri: `make miri`.
//!
//! Miri links nothing, so that this runs without VPP's symbols: C's side of include/maglev_shim.h is played by the
//! functions here that have its names. A pointer that does not hold what it should, a box that is freed twice or never, a
//! string that nobody keeps, ends the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;

use super::shim::{
    self, maglev_address_t, maglev_api_answer_t, maglev_api_clients_t, maglev_api_status_t,
    maglev_as_record_t, maglev_lb_settings_t, maglev_log_level_t, maglev_name_t, maglev_reply_kind_t as kind,
    maglev_reply_t, maglev_start_t, maglev_stats_plan_t, maglev_stats_room_t, maglev_stats_t, maglev_text_t,
    maglev_turn_t, maglev_vip_args_t, maglev_vip_record_t, maglev_vip_t,
};
use super::{MainThread, exports, guard, log, panics, reply, start, text};
use crate::api::retval;
use crate::control::LogLevel;
use crate::lb::vpp::VppLb;
use crate::lb::{Encap, Heap, LbError, LoadBalancer, Op, Protocol, Reach, Settings, VipKey};

/// What C was told and is to tell.
struct Played {
    said: Vec<String>,
    retval: i32,
    vips: Vec<maglev_vip_record_t>,
    servers: Vec<maglev_as_record_t>,
    /// Behind the last record: one that cannot be read.
    unreadable: bool,
    barriers: i32,
}

static C: Mutex<Played> = Mutex::new(Played {
    said: Vec::new(),
    retval: 0,
    vips: Vec::new(),
    servers: Vec::new(),
    unreadable: false,
    barriers: 0,
});

/// One call of `lb`: what it was, and its verdict.
fn called(what: String, to: *mut i32) -> u32 {
    let mut c = C.lock().unwrap();
    c.said.push(what);
    // SAFETY: the caller's own, as the contract says.
    unsafe { to.write(c.retval) };
    shim::maglev_lb_status_t::MAGLEV_LB_OK
}

fn of<T: Copy>(from: *const T) -> T {
    // SAFETY: the caller's own, as the contract says.
    unsafe { from.read() }
}

fn address(a: &maglev_address_t) -> String {
    let length = if a.is_ip6 == 0 { 4 } else { 16 };
    a.bytes[..length].iter().map(|b| format!("{b:02x}")).collect()
}

fn vip(v: &maglev_vip_t) -> String {
    format!("{}/{} {} {}", address(&v.address), v.prefix_len, v.protocol, v.port)
}

// SAFETY, of all of these: C's names, which nothing else has under Miri.
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_log(level: maglev_log_level_t::Type, from: *const c_char, length: u64) {
    // SAFETY: so many bytes, as the contract says.
    let line = unsafe { text::from_parts(from, length) };
    C.lock().unwrap().said.push(format!("log {level} {line}"));
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_signals_hold() {}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_signals_release() {}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_open() -> i32 {
    0
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_threads() -> u32 {
    3
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_message(index: u32, name: *mut *const c_char, present: *mut u8) -> i32 {
    let names = [c"one_12345678", c"two_9abcdef0"];
    let Some(found) = names.get(index as usize) else { return 0 };
    // SAFETY: the caller's own, as the contract says.
    unsafe { name.write(found.as_ptr()) };
    // SAFETY: the caller's own, as the contract says.
    unsafe { present.write(1) };
    1
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_settings(out: *mut maglev_lb_settings_t, to: *mut i32) -> u32 {
    let settings = maglev_lb_settings_t {
        ip4_src: [192, 0, 2, 1],
        ip6_src: [1; 16],
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    // SAFETY: the caller's own, as the contract says.
    unsafe { out.write(settings) };
    called("settings".into(), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_set_settings(from: *const maglev_lb_settings_t, to: *mut i32) -> u32 {
    called(format!("set settings {:?}", of(from).ip4_src), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_add_vip(
    v: *const maglev_vip_t,
    args: *const maglev_vip_args_t,
    to: *mut i32,
) -> u32 {
    called(format!("add vip {} {} {}", vip(&of(v)), of(args).encap, of(args).table_length), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_del_vip(v: *const maglev_vip_t, to: *mut i32) -> u32 {
    called(format!("del vip {}", vip(&of(v))), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_add_as(
    v: *const maglev_vip_t,
    a: *const maglev_address_t,
    weight: u8,
    flush: u8,
    to: *mut i32,
) -> u32 {
    called(format!("add as {} {} {weight} {flush}", vip(&of(v)), address(&of(a))), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_del_as(
    v: *const maglev_vip_t,
    a: *const maglev_address_t,
    flush: u8,
    to: *mut i32,
) -> u32 {
    called(format!("del as {} {} {flush}", vip(&of(v)), address(&of(a))), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_set_weight(
    v: *const maglev_vip_t,
    a: *const maglev_address_t,
    weight: u8,
    flush: u8,
    to: *mut i32,
) -> u32 {
    called(format!("set weight {} {} {weight} {flush}", vip(&of(v)), address(&of(a))), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_flush_vip(v: *const maglev_vip_t, to: *mut i32) -> u32 {
    called(format!("flush vip {}", vip(&of(v))), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_servers(
    v: *const maglev_vip_t,
    servers: *const maglev_address_t,
    n: u32,
    weight: i32,
    flush: u8,
    to: *mut i32,
) -> u32 {
    // SAFETY: so many, as the contract says.
    let servers = unsafe { std::slice::from_raw_parts(servers, n as usize) };
    let servers: Vec<String> = servers.iter().map(address).collect();
    called(format!("servers {} {} {weight} {flush}", vip(&of(v)), servers.join(",")), to)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_dump_vips() -> u32 {
    shim::maglev_lb_status_t::MAGLEV_LB_OK
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_dump_as(_: *const maglev_vip_t) -> u32 {
    shim::maglev_lb_status_t::MAGLEV_LB_OK
}

/// The next of them into `out`, as both `next` do it.
fn next<T>(from: impl FnOnce(&mut Played) -> &mut Vec<T>, out: *mut T) -> i32 {
    let mut c = C.lock().unwrap();
    let unreadable = c.unreadable;
    match from(&mut c).pop() {
        Some(record) => {
            // SAFETY: the caller's own, as the contract says.
            unsafe { out.write(record) };
            1
        }
        None if unreadable => -1,
        None => 0,
    }
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_next_vip(out: *mut maglev_vip_record_t) -> i32 {
    next(|c| &mut c.vips, out)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_next_as(out: *mut maglev_as_record_t) -> i32 {
    next(|c| &mut c.servers, out)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_heap(out: *mut shim::maglev_heap_t) {
    // SAFETY: the caller's own, as the contract says.
    unsafe { out.write(shim::maglev_heap_t { size: 1 << 30, free: 1 << 29, top: 1 << 29, counted: 3 }) };
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_heap_has(bytes: u64) -> u8 {
    u8::from(bytes < 1 << 29)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_reach(a: *const maglev_address_t) -> u32 {
    match of(a).bytes {
        [127, ..] => shim::maglev_reach_t::MAGLEV_REACH_LOCAL,
        _ => shim::maglev_reach_t::MAGLEV_REACH_AWAY,
    }
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_vip_index(v: *const maglev_vip_t, index: *mut u32) -> u8 {
    let port = of(v).port;
    // SAFETY: the caller's own, as the contract says.
    unsafe { index.write(port.into()) };
    u8::from(port != 0)
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_vips_text(out: *mut *mut c_char, length: *mut u64) -> u32 {
    let words = b"no vips at all \xff".to_vec().into_boxed_slice();
    // SAFETY: the caller's own, as the contract says.
    unsafe { length.write(words.len() as u64) };
    // SAFETY: the caller's own, as the contract says.
    unsafe { out.write(Box::into_raw(words).cast()) };
    shim::maglev_lb_status_t::MAGLEV_LB_OK
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_lb_text_free(text: *mut c_char) {
    // SAFETY: from just above; Miri checks that it is what was given, and that it is given back.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(text.cast::<u8>(), 16)) });
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_barrier_sync() {
    C.lock().unwrap().barriers += 1;
}
#[unsafe(no_mangle)]
extern "C" fn maglev_shim_barrier_release() {
    C.lock().unwrap().barriers -= 1;
}

/// This thread is VPP's main thread from now on.
fn main_thread() -> MainThread {
    MainThread::declare();
    MainThread::at_entry_point().unwrap()
}

fn said() -> Vec<String> {
    std::mem::take(&mut C.lock().unwrap().said)
}

fn name(of: &[u8]) -> maglev_name_t {
    maglev_name_t { data: of.as_ptr().cast(), length: of.len() as u64 }
}

/// Names as C may hand them over; the last one ends with its field, without NUL.
fn names() -> Vec<maglev_name_t> {
    static LONG: [u8; 64] = [b'x'; 64];
    vec![
        name(b"nginx0"),
        name(b""),
        name(b"\xff\xfe\0"),
        maglev_name_t { data: ptr::null(), length: 0 },
        maglev_name_t { data: ptr::null(), length: u64::MAX },
        name(&LONG),
    ]
}

/// What Rust has said, read as C reads it: after the call, before the next one.
fn read(of: &maglev_text_t) -> String {
    // SAFETY: it lives until the next call, as the contract says.
    unsafe { text::from_parts(of.data, of.length) }
}

#[test]
fn text_from_c() {
    // SAFETY: null.
    assert_eq!(unsafe { text::from_c(ptr::null()) }, "");
    let words = CString::new(b"caf\xc3\xa9 \xff".to_vec()).unwrap();
    // SAFETY: a C string that lives here.
    assert_eq!(unsafe { text::from_c(words.as_ptr()) }, "café \u{fffd}");
    for length in [0, 1, u64::MAX] {
        // SAFETY: null.
        assert_eq!(unsafe { text::from_parts(ptr::null(), length) }, "");
    }
    // SAFETY: so many bytes, which live here.
    assert_eq!(unsafe { text::from_parts(words.as_ptr(), 5) }, "café");
    // SAFETY: no bytes at all.
    assert_eq!(unsafe { text::from_parts(words.as_ptr(), 0) }, "");
    // SAFETY: null.
    assert!(unsafe { text::numbers(ptr::null(), 7) }.is_empty());
    let numbers = [3, u32::MAX, 0];
    // SAFETY: so many numbers, which live here.
    assert_eq!(unsafe { text::numbers(numbers.as_ptr(), 3) }, [3, u32::MAX as usize, 0]);
}

#[test]
fn a_reply_is_given_and_taken_back() {
    for words in ["x", "café"] {
        let mut told = reply::Told::error(words).encode();
        assert_eq!(told.kind, kind::MAGLEV_REPLY_ERROR);
        // SAFETY: so many bytes, as the contract says.
        assert_eq!(unsafe { text::from_parts(told.text, told.length) }, format!("error: {words}\n"));
        // SAFETY: made by `encode` just before.
        unsafe { exports::maglev_rs_reply_free(&mut told) };
        // SAFETY: emptied by the first.
        unsafe { exports::maglev_rs_reply_free(&mut told) };
        assert!(told.text.is_null());
    }
    // SAFETY: null.
    unsafe { exports::maglev_rs_reply_free(ptr::null_mut()) };
    let mut pending = reply::Told::Pending { ticket: 7, text: String::new() }.encode();
    assert_eq!((pending.kind, pending.ticket), (kind::MAGLEV_REPLY_PENDING, 7));
    // SAFETY: made by `encode`; it holds nothing.
    unsafe { exports::maglev_rs_reply_free(&mut pending) };
}

/// A command line and its answer, as C goes about it.
fn command(line: &[u8]) -> (u32, String) {
    let mut told = MaybeUninit::<maglev_reply_t>::uninit();
    // SAFETY: so many bytes, and room for a reply.
    unsafe { exports::maglev_rs_cli(line.as_ptr().cast(), line.len() as u64, 1, told.as_mut_ptr()) };
    // SAFETY: filled just before.
    let mut told = unsafe { told.assume_init() };
    // SAFETY: so many bytes, as the contract says.
    let words = unsafe { text::from_parts(told.text, told.length) };
    // SAFETY: filled just before.
    unsafe { exports::maglev_rs_reply_free(&mut told) };
    (told.kind, words)
}

#[test]
fn commands_before_the_start() {
    main_thread();
    for line in [&b"maglev show status"[..], b"", b"maglev \xff\xff", b"maglev set backend a disable"] {
        let (how, words) = command(line);
        assert_eq!(how, kind::MAGLEV_REPLY_ERROR);
        assert!(words.contains("maglev is starting"), "{words}");
    }
    let mut told = MaybeUninit::<maglev_reply_t>::uninit();
    // SAFETY: room for a reply.
    unsafe { exports::maglev_rs_cli_poll(3, told.as_mut_ptr()) };
    // SAFETY: filled just before.
    unsafe { exports::maglev_rs_reply_free(told.as_mut_ptr()) };
    // SAFETY: on the main thread.
    unsafe { exports::maglev_rs_cli_abandon(3, ptr::null_mut()) };
    // SAFETY: null for both.
    unsafe { exports::maglev_rs_cli(ptr::null(), 9, 0, ptr::null_mut()) };
}

#[test]
fn all_paths_and_their_help_are_c_strings() {
    let mut count = 0;
    loop {
        let (mut path, mut help) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: both pointers are to room for a pointer.
        if unsafe { exports::maglev_rs_cli_path(count, path.as_mut_ptr(), help.as_mut_ptr()) } == 0 {
            break;
        }
        // SAFETY: filled just before.
        let (path, help) = unsafe { (path.assume_init(), help.assume_init()) };
        // SAFETY: a C string, as the contract says.
        assert!(!unsafe { CStr::from_ptr(path) }.is_empty());
        // SAFETY: a C string, as the contract says.
        assert!(!unsafe { CStr::from_ptr(help) }.is_empty());
        count += 1;
    }
    assert!(count > 10, "{count} paths");
    // SAFETY: null for both.
    assert_eq!(unsafe { exports::maglev_rs_cli_path(0, ptr::null_mut(), ptr::null_mut()) }, 0);
}

#[test]
fn another_thread_gets_nothing() {
    main_thread();
    let (how, words) = std::thread::spawn(|| command(b"maglev show status")).join().unwrap();
    assert_eq!(how, kind::MAGLEV_REPLY_ERROR);
    assert!(words.contains("outside VPP's main thread"), "{words}");
}

#[test]
fn a_call_out_of_a_call_is_refused() {
    main_thread();
    let inner = guard::run(|_, _| guard::run(|_, _| String::new(), str::to_owned), str::to_owned);
    assert_eq!(inner, "called while another call was under way");
}

#[test]
fn panics_stop_at_the_guard() {
    main_thread();
    panics::take();
    panics::install_hook();
    assert_eq!(guard::run_plain(|| panic!("one"), || 7), 7);
    for n in 0..10 {
        std::thread::spawn(move || panic!("in a thread, {n}")).join().unwrap_err();
    }
    let noted = panics::take().unwrap();
    assert!(noted.contains("one") && noted.ends_with("; and 3 more"), "{noted}");
    assert_eq!(panics::take(), None);
    let _ = std::panic::take_hook();
}

#[test]
fn a_start_block_is_decoded() {
    let (config, state, running) = (c"/a.yaml", CString::new(b"/\xff".to_vec()).unwrap(), c"26.10");
    let cpus = [1u32, 5];
    let block = maglev_start_t {
        config_path: config.as_ptr(),
        state_path: state.as_ptr(),
        probe_cpus: cpus.as_ptr(),
        n_probe_cpus: 2,
        worker_cpus: ptr::null(),
        n_worker_cpus: 0,
        main_cpu: 0,
        wake_fd: -1,
        running_in: running.as_ptr(),
    };
    // SAFETY: strings and arrays that live here.
    drop(unsafe { start::Start::decode(&block) });
    // SAFETY: a start block without any of them.
    drop(unsafe { start::Start::decode(&maglev_start_t::default()) });
    main_thread();
    // SAFETY: null.
    assert_eq!(unsafe { exports::maglev_rs_start(ptr::null()) }, -1);
}

#[test]
fn a_turn_before_the_start_waits_to_be_woken() {
    main_thread();
    let mut turn = MaybeUninit::<maglev_turn_t>::uninit();
    // SAFETY: room for a turn block.
    unsafe { exports::maglev_rs_turn(turn.as_mut_ptr()) };
    // SAFETY: filled just before.
    let turn = unsafe { turn.assume_init() };
    assert_eq!((turn.next, turn.busy), (-1.0, 0));
    // SAFETY: null.
    unsafe { exports::maglev_rs_turn(ptr::null_mut()) };
}

#[test]
fn the_log_takes_one_line() {
    let main = main_thread();
    said();
    log::line(main, LogLevel::Error, "cut\nhere");
    log::line(main, LogLevel::Debug, "");
    let lines: Vec<String> = said().into_iter().filter(|l| l.starts_with("log ")).collect();
    assert_eq!(lines, ["log 4 cut", "log 0 "]);
}

#[test]
fn the_binary_api_before_the_start() {
    use super::api_exports as api;
    main_thread();
    let mut status = MaybeUninit::<maglev_api_status_t>::uninit();
    // SAFETY: room for a status block.
    unsafe { api::maglev_rs_api_status(status.as_mut_ptr()) };
    // SAFETY: filled just before.
    let status = unsafe { status.assume_init() };
    assert_eq!(read(&status.reason), "maglev is starting");
    // SAFETY: null.
    unsafe { api::maglev_rs_api_status(ptr::null_mut()) };

    for n in names() {
        let answers: [&dyn Fn(*mut maglev_api_answer_t); 7] = [
            // SAFETY, of each: a name as above, and an answer or null.
            &|out| unsafe { api::maglev_rs_api_set_backend(n, 3, out) },
            &|out| unsafe { api::maglev_rs_api_set_weight(n, n, n, 0, 255, 1, out) },
            &|out| unsafe { api::maglev_rs_api_flush_frontend(n, out) },
            &|out| unsafe { api::maglev_rs_api_probe(n, out) },
            &|out| unsafe { api::maglev_rs_api_sync(n, out) },
            &|out| unsafe { api::maglev_rs_api_config_check(n, out) },
            &|out| unsafe { api::maglev_rs_api_config_reload(0, out) },
        ];
        for ask in answers {
            let mut answer = MaybeUninit::<maglev_api_answer_t>::uninit();
            ask(answer.as_mut_ptr());
            // SAFETY: filled just before.
            let answer = unsafe { answer.assume_init() };
            assert_eq!(answer.retval, retval::INIT_FAILED);
            assert_eq!(read(&answer.text), "maglev is starting; try again");
            ask(ptr::null_mut());
        }
        for table in 0..4 {
            for cursor in [0, 1, u64::MAX] {
                // SAFETY: a name as above.
                let retval = unsafe { api::maglev_rs_api_rows(table, n, cursor) };
                assert_eq!(retval, retval::INIT_FAILED);
                // SAFETY: on the main thread.
                assert_eq!(unsafe { api::maglev_rs_api_cursor() }, cursor);
            }
        }
        // SAFETY: a name as above.
        assert_eq!(unsafe { api::maglev_rs_api_rows(77, n, 0) }, retval::BUG);
    }
    // SAFETY, of each: null or room for one.
    unsafe {
        assert_eq!(api::maglev_rs_api_next_backend(MaybeUninit::uninit().as_mut_ptr()), 0);
        assert_eq!(api::maglev_rs_api_next_frontend(MaybeUninit::uninit().as_mut_ptr()), 0);
        assert_eq!(api::maglev_rs_api_next_member(MaybeUninit::uninit().as_mut_ptr()), 0);
        assert_eq!(api::maglev_rs_api_next_healthcheck(MaybeUninit::uninit().as_mut_ptr()), 0);
        assert_eq!(api::maglev_rs_api_next_healthcheck(ptr::null_mut()), 0);
        api::maglev_rs_api_watch(1);
        let mut end = MaybeUninit::<u64>::uninit();
        assert_eq!(api::maglev_rs_api_gather(end.as_mut_ptr()), 0);
        assert_eq!(end.assume_init(), 0);
        api::maglev_rs_api_gather(ptr::null_mut());
        assert_eq!(api::maglev_rs_api_event(0, MaybeUninit::uninit().as_mut_ptr()), 0);
        assert_eq!(api::maglev_rs_api_event(0, ptr::null_mut()), 0);
        api::maglev_rs_api_clients(&maglev_api_clients_t::default());
        api::maglev_rs_api_clients(ptr::null());
        api::maglev_rs_api_watch(0);
    }
}

#[test]
fn the_stats_segment_before_the_start() {
    use super::stats_exports as stats;
    main_thread();
    let mut tables = 0;
    loop {
        let mut metric = 0;
        loop {
            let (mut of, mut what): (*const c_char, *const c_char) = (ptr::null(), ptr::null());
            // SAFETY: both pointers are to pointers.
            if unsafe { stats::maglev_rs_stats_metric(tables, metric, &mut of, &mut what) } == 0 {
                break;
            }
            // SAFETY: a C string, as the contract says.
            assert!(!unsafe { CStr::from_ptr(of) }.is_empty());
            // SAFETY: a C string, as the contract says.
            assert!(!unsafe { CStr::from_ptr(what) }.is_empty());
            metric += 1;
        }
        if metric == 0 {
            break;
        }
        tables += 1;
    }
    assert_eq!(tables, shim::MAGLEV_STATS_N_TABLES);
    // SAFETY, of each: null or room for what is said.
    unsafe {
        assert_eq!(stats::maglev_rs_stats_metric(0, 0, ptr::null_mut(), ptr::null_mut()), 0);
        // C initialises nothing that it gives to be filled.
        let mut taken = MaybeUninit::<maglev_stats_t>::uninit();
        assert_eq!(stats::maglev_rs_stats_take(taken.as_mut_ptr()), 0);
        assert_eq!(taken.assume_init().n_rows, [0; 4]);
        let room = maglev_stats_room_t { size: 1 << 25, largest: 1 << 24, directory: 0 };
        let mut plan = MaybeUninit::<maglev_stats_plan_t>::uninit();
        for beside in [0, 1] {
            assert_eq!(stats::maglev_rs_stats_plan(&room, beside, plan.as_mut_ptr()), 0);
            assert_eq!(stats::maglev_rs_stats_plan(ptr::null(), beside, plan.as_mut_ptr()), 0);
            assert_eq!(stats::maglev_rs_stats_plan(&room, beside, ptr::null_mut()), 0);
        }
        assert_eq!(stats::maglev_rs_stats_take(ptr::null_mut()), 0);
        let mut room = [const { MaybeUninit::<u8>::uninit() }; 4];
        assert_eq!(stats::maglev_rs_stats_name(9, u32::MAX, room.as_mut_ptr().cast(), 4), 0);
        assert_eq!(stats::maglev_rs_stats_name(0, 0, ptr::null_mut(), 4), 0);
        let mut numbers = [const { MaybeUninit::<u64>::uninit() }; 3];
        stats::maglev_rs_stats_fill(u32::MAX, 0, 9, numbers.as_mut_ptr().cast(), 3);
        assert_eq!(numbers.map(|n| n.assume_init()), [0; 3]);
        stats::maglev_rs_stats_fill(0, 0, 0, ptr::null_mut(), 3);
    }
}

fn web() -> VipKey {
    VipKey { address: "192.0.2.9".parse().unwrap(), service: Some((Protocol::Tcp, 80)) }
}

fn vip_record() -> maglev_vip_record_t {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&[192, 0, 2, 9]);
    let vip = maglev_vip_t {
        address: maglev_address_t { is_ip6: 0, bytes },
        prefix_len: 32,
        protocol: 6,
        port: 80,
    };
    maglev_vip_record_t { vip, encap: 77, dscp: 0, target_port: 0, table_length: 0 }
}

/// One test, since what C is played to be is one for all.
#[test]
fn calls_of_lb() {
    let mut lb = VppLb::open(main_thread());
    assert_eq!((lb.unavailable(), lb.threads()), (None, 3));
    assert_eq!(lb.messages(), ["one_12345678", "two_9abcdef0"]);
    assert_eq!(lb.settings().unwrap().sticky_buckets_per_core, 1024);
    assert!(lb.traffic().unwrap().is_some());

    C.lock().unwrap().vips = vec![vip_record(), maglev_vip_record_t::default()];
    assert_eq!(lb.vips().unwrap().len(), 2);
    let server = maglev_as_record_t {
        vip: vip_record().vip,
        address: maglev_address_t { is_ip6: 1, bytes: [0x20; 16] },
        flags: 1,
        weight: 100,
        buckets: 9,
    };
    C.lock().unwrap().servers = vec![server, maglev_as_record_t::default()];
    assert!(!lb.servers(&web()).unwrap().is_empty());
    C.lock().unwrap().unreadable = true;
    assert_eq!(lb.vips(), Err(LbError::NoAnswer("a VIP's details")));
    assert_eq!(lb.servers(&web()), Err(LbError::NoAnswer("a server's details")));
    C.lock().unwrap().unreadable = false;

    let ways = ["127.0.0.1", "2001:db8::1"].map(|a| lb.reach(a.parse().unwrap()));
    assert_eq!(ways, [Reach::Local, Reach::Away]);
    let all_ports = VipKey { service: None, ..web() };
    assert_eq!((lb.index(&web()), lb.index(&all_ports)), (Some(80), None));
    assert_eq!(lb.heap(), Some(Heap { size: 1 << 30, free: 1 << 29, top: 1 << 29 }));

    said();
    let (vip, address) = (web(), "2001:db8::1".parse().unwrap());
    let settings = Settings {
        ip4_src: "192.0.2.7".parse().unwrap(),
        ip6_src: "2001:db8::7".parse().unwrap(),
        sticky_buckets_per_core: 1024,
        flow_timeout: 40,
    };
    C.lock().unwrap().vips = vec![vip_record()];
    let done = lb.apply(&[
        Op::SetSettings(settings),
        Op::AddVip { vip, encap: Encap::L3dsr { dscp: 7 }, table_length: 1024, src_ip_sticky: true },
        Op::AddServer { vip, address, weight: 100, flush: false },
        Op::SetWeight { vip, address, weight: 0, flush: true },
        Op::DelServer { vip, address, flush: true },
        Op::FlushVip { vip },
        // Gone from the dump by now.
        Op::FlushVip { vip },
        Op::DelVip { vip },
    ]);
    let refused: Vec<usize> = done.iter().enumerate().filter(|(_, r)| r.is_err()).map(|(n, _)| n).collect();
    assert_eq!(refused, [6], "{done:?}");
    let calls: Vec<String> = said().into_iter().filter(|l| !l.starts_with("log ")).collect();
    assert_eq!(calls.len(), 7, "{calls:?}");
    assert!(calls[2].starts_with("add as") && calls[2].ends_with(" 100 0"), "{calls:?}");
    C.lock().unwrap().retval = shim::maglev_api_error_t::MAGLEV_NO_SUCH_ENTRY;
    assert_eq!(lb.apply(&[Op::DelVip { vip }]), [Err(LbError::NoSuchEntry)]);
    C.lock().unwrap().retval = 0;
    said();
    let add = |n: u16| Op::AddServer {
        vip,
        address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(),
        weight: 7,
        flush: false,
    };
    // The dump after the first does not show them: what is left is done singly.
    C.lock().unwrap().servers = Vec::new();
    assert_eq!(lb.apply_bulk(&[add(1), add(2), add(3)], &[]), [Ok(()), Ok(()), Ok(())]);
    let calls: Vec<String> = said().into_iter().filter(|l| !l.starts_with("log ")).collect();
    assert!(
        calls[0].starts_with("servers ") && calls[0].ends_with(" 7 0") && calls[0].matches(',').count() == 2
    );
    assert!(calls.len() == 4 && calls[1..].iter().all(|c| c.starts_with("add as")), "{calls:?}");
    assert!(lb.take_remark().is_some() && lb.take_remark().is_none());
    assert_eq!(C.lock().unwrap().barriers, 0);
}
