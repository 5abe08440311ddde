//! Nothing to do without feature `vpp`. With it: finds the installed VPP, compiles csrc/ against its headers and binds
//! include/maglev_shim.h. Whatever is missing is said in one sentence that names the package.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "vpp")]
    if let Err(why) = vpp::build() {
        println!("cargo::error={why}");
        std::process::exit(1);
    }
}

#[cfg(feature = "vpp")]
mod vpp {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    const SOURCES: [&str; 17] = [
        "csrc/api.c",
        "csrc/api_events.c",
        "csrc/api_send.c",
        "csrc/cli.c",
        "csrc/cli_session.c",
        "csrc/config.c",
        "csrc/lb_bulk.c",
        "csrc/counters.c",
        "csrc/fib.c",
        "csrc/heap.c",
        "csrc/init.c",
        "csrc/lb.c",
        "csrc/log.c",
        "csrc/process.c",
        "csrc/signals.c",
        "csrc/stats.c",
        "csrc/stays.c",
    ];
    /// The messages of the binary API, and what clients that read JSON are to find beside the plugin.
    const API: &str = "vpp-plugin/maglev.api";
    const API_JSON: &str = "maglev.api.json";

    pub fn build() -> Result<(), String> {
        println!("cargo::rerun-if-env-changed=VPP_PREFIX");
        println!("cargo::rerun-if-changed=csrc");
        println!("cargo::rerun-if-changed=include");
        println!("cargo::rerun-if-changed={API}");

        let include = find_headers()?;
        let version = define(&include.join("vpp/app/version.h"), "VPP_BUILD_VER")
            .map(|v| v.trim_matches('"').to_owned())
            .ok_or_else(|| format!("no version in {}/vpp/app/version.h", include.display()))?;
        check_lb(&include, &version)?;
        let cache_line = cache_line(&include)?;

        println!("cargo::rustc-env=MAGLEV_VPP_VERSION={version}");
        println!("cargo::rustc-env=MAGLEV_VPP_REQUIRED={}", required(&version));

        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
        generate_api(&include, &out)?;
        compile(&include, &out, cache_line)?;
        bind(cache_line)
    }

    /// `$VPP_PREFIX`, else /usr, else /usr/local: the first that has VPP's headers.
    fn find_headers() -> Result<PathBuf, String> {
        let prefixes = match env::var_os("VPP_PREFIX").filter(|p| !p.is_empty()) {
            Some(prefix) => vec![PathBuf::from(prefix)],
            None => vec![PathBuf::from("/usr"), PathBuf::from("/usr/local")],
        };
        let looked: Vec<String> = prefixes.iter().map(|p| p.display().to_string()).collect();
        prefixes.into_iter().map(|p| p.join("include")).find(|p| p.join("vlib/vlib.h").is_file()).ok_or_else(|| {
            format!(
                "VPP's headers are not in {}: install VPP 26.10 or later with its package vpp-dev, or set VPP_PREFIX",
                looked.join(" or ")
            )
        })
    }

    /// The value of a `#define`.
    fn define(header: &Path, name: &str) -> Option<String> {
        println!("cargo::rerun-if-changed={}", header.display());
        fs::read_to_string(header).ok()?.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name))
                .then(|| words.next().unwrap_or_default().to_owned())
        })
    }

    /// `lb` has had weights since VPP 26.10; without its messages nothing of this can work.
    fn check_lb(include: &Path, version: &str) -> Result<(), String> {
        let header = include.join("vpp_plugins/lb/lb.api_types.h");
        println!("cargo::rerun-if-changed={}", header.display());
        let text = fs::read_to_string(&header).map_err(|e| {
            format!(
                "the header of VPP's lb plugin, {}, cannot be read ({e}): install vpp-dev",
                header.display()
            )
        })?;
        if text.contains("VL_API_LB_AS_SET_WEIGHT_CRC") {
            Ok(())
        } else {
            Err(format!(
                "the lb plugin of the installed VPP {version} has no weights: VPP 26.10 or later is needed"
            ))
        }
    }

    fn cache_line(include: &Path) -> Result<usize, String> {
        let header = include.join("vppinfra/config.h");
        let log2 = define(&header, "CLIB_LOG2_CACHE_LINE_BYTES").and_then(|v| v.parse::<u32>().ok());
        log2.and_then(|n| 1usize.checked_shl(n))
            .ok_or_else(|| format!("no cache line size in {}", header.display()))
    }

    /// What VPP compares its own version with, as a prefix: `YY.MM` of a release, all of a pre-release, since there
    /// struct layouts change from one commit to the next.
    fn required(version: &str) -> String {
        match version.strip_suffix("-release") {
            Some(release) => release.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
            None => version.to_owned(),
        }
    }

    /// Lets VPP's own generator make the C of the binary API, and its JSON: both in OUT_DIR, the JSON also beside the
    /// library, where whoever installs the plugin finds it.
    fn generate_api(include: &Path, out: &Path) -> Result<(), String> {
        let generator = include.with_file_name("bin").join("vppapigen");
        println!("cargo::rerun-if-changed={}", generator.display());
        if !generator.is_file() {
            return Err(format!("{} is missing: install the package vpp-dev", generator.display()));
        }
        let python = python_with_ply()?;
        let input = env::current_dir().map_err(|e| format!("the current directory: {e}"))?.join(API);
        let json = out.join(API_JSON);
        for (module, output) in [("C", out.join("maglev.api.h")), ("JSON", json.clone())] {
            let run = Command::new(python)
                .arg(&generator)
                .arg("--includedir")
                .arg(include)
                .arg("--input")
                .arg(&input)
                .arg("--outputdir")
                .arg(out)
                .arg("--output")
                .arg(&output)
                .arg(module)
                .current_dir(out)
                .output()
                .map_err(|e| format!("{python}: {e}"))?;
            if !run.status.success() {
                let said = String::from_utf8_lossy(&run.stderr);
                let said = said.lines().last().unwrap_or("no word").to_owned();
                return Err(format!("{}: {API}: {said}", generator.display()));
            }
        }
        // OUT_DIR is <target>/<profile>/build/<package>/out.
        let beside = out.ancestors().nth(3).ok_or_else(|| format!("{} is no OUT_DIR", out.display()))?;
        let beside = beside.join(API_JSON);
        fs::copy(&json, &beside).map(|_| ()).map_err(|e| format!("{}: {e}", beside.display()))
    }

    /// The one on the path may be another than the distribution's, whose packages it does not see.
    fn python_with_ply() -> Result<&'static str, String> {
        let knows_ply = |python: &&str| {
            let mut check = Command::new(python);
            check.args(["-c", "import ply.lex, ply.yacc"]).stdout(Stdio::null()).stderr(Stdio::null());
            check.status().is_ok_and(|s| s.success())
        };
        ["python3", "/usr/bin/python3"].into_iter().find(knows_ply).ok_or_else(|| {
            "vppapigen needs Python's ply: install the packages python3 and python3-ply".to_owned()
        })
    }

    /// As VPP's own cmake files compile plugins.
    fn march() -> &'static [&'static str] {
        match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("x86_64") => &["-march=x86-64-v2", "-mtune=generic"],
            Ok("aarch64") => &["-march=armv8-a+crc"],
            _ => &[],
        }
    }

    fn compile(include: &Path, generated: &Path, cache_line: usize) -> Result<(), String> {
        let mut cc = cc::Build::new();
        cc.files(SOURCES)
            .include("include")
            .flag("-isystem")
            .flag(generated)
            .flag("-isystem")
            .flag(include)
            .flag("-isystem")
            .flag(include.join("vpp_plugins"))
            .define("MAGLEV_CACHE_LINE_BYTES", cache_line.to_string().as_str())
            .flags(march())
            .flags(["-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-fno-common"])
            .flags([
                "-Wall",
                "-Wextra",
                "-Werror=implicit-function-declaration",
                "-Werror=incompatible-pointer-types",
            ])
            .flags(["-Wno-unused-parameter", "-Wno-sign-compare", "-Wno-address-of-packed-member"])
            // VPP's own structs; they are not to be touched by an optimisation that its build does not use.
            .opt_level(2)
            .debug(true)
            .pic(true)
            .link_lib_modifier("+whole-archive")
            .cargo_warnings(true);

        let tool = cc.try_get_compiler().map_err(|e| no_compiler(&e.to_string()))?;
        let runs =
            Command::new(tool.path()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Err(e) = runs {
            return Err(no_compiler(&format!("{}: {e}", tool.path().display())));
        }
        cc.try_compile("maglev_shim").map_err(|e| format!("csrc/ does not compile against this VPP: {e}"))
    }

    fn no_compiler(why: &str) -> String {
        format!("no C compiler ({why}): install the package build-essential")
    }

    fn bind(cache_line: usize) -> Result<(), String> {
        let bind = || {
            bindgen::Builder::default()
                .header("include/maglev_shim.h")
                .clang_arg(format!("-DMAGLEV_CACHE_LINE_BYTES={cache_line}"))
                .allowlist_function("maglev_shim_.*")
                .allowlist_type("maglev_.*")
                .allowlist_function("maglev_rs_.*")
                .allowlist_var("MAGLEV_STATS_.*")
                .constified_enum_module(
                    "maglev_(log_level|reply_kind|encap|api_error|lb_status|reach|stay_kind|rows)_t",
                )
                .merge_extern_blocks(true)
                .derive_default(true)
                .layout_tests(false)
                .generate_comments(false)
                .generate()
        };
        // bindgen panics where libclang cannot be loaded, and says it at length.
        std::panic::set_hook(Box::new(|_| {}));
        let bound = std::panic::catch_unwind(bind);
        let _ = std::panic::take_hook();
        let bindings = bound
            .map_err(|_| "libclang cannot be loaded: install the package libclang-dev".to_owned())?
            .map_err(|e| {
                format!("include/maglev_shim.h cannot be bound ({e}): is the package libclang-dev whole?")
            })?;
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?).join("shim.rs");
        bindings.write_to_file(&out).map_err(|e| format!("{}: {e}", out.display()))
    }
}
