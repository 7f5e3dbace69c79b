// Where libefferent is: EFFERENT_PREFIX (what bindings/c/install.sh or the tarball made), else pkg-config, else the
// system's folders.
use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=EFFERENT_PREFIX");
    let folder = match env::var("EFFERENT_PREFIX") {
        Ok(prefix) => Some(format!("{prefix}/lib")),
        Err(_) => Command::new("pkg-config")
            .args(["--variable=libdir", "efferent"])
            .output()
            .ok()
            .filter(|done| done.status.success())
            .map(|done| String::from_utf8_lossy(&done.stdout).trim().to_string()),
    };
    if let Some(folder) = folder {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    println!("cargo:rustc-link-lib=dylib=efferent");
}
