//! Efferent for Rust: load a policy, step it.
//!
//! ```no_run
//! let policy = efferent::Policy::load("policy.onnx")?;
//! let mut session = policy.session(1)?;
//! let mut action = [0.0; 6];
//! session.step(&[0.0; 17], &mut action)?; // [RT]: no allocation, no lock, no system call, unless it is refused
//! # Ok::<(), efferent::Error>(())
//! ```
//!
//! The whole C interface (learners, cards, controllers, bridges) is in [`sys`].

pub mod sys;

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::Path;
use std::ptr;

/// A refused call: its status, and in words what failed, what was found and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub status: sys::eff_status,
    pub message: String,
}

impl Error {
    /// The name of the status, such as "EFF_E_SHAPE".
    pub fn name(&self) -> &'static str {
        unsafe { CStr::from_ptr(sys::eff_status_name(self.status)) }.to_str().unwrap_or("EFF_E_UNKNOWN")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.message)
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

/// The text of a C string that lives for the call; "" for NULL.
fn text(pointer: *const std::os::raw::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn check(status: sys::eff_status) -> Result<()> {
    if status >= 0 {
        return Ok(());
    }
    Err(Error { status, message: text(unsafe { sys::eff_last_error() }) })
}

/// What of a version must be equal: until 1.0 each minor version is an interface of its own (bindings/ABI.md).
fn series(version: i32) -> i32 {
    if version < 10000 { version / 100 } else { version / 10000 * 100 }
}

fn check_version() -> Result<()> {
    let (found, wanted) = (unsafe { sys::eff_version() }, sys::EFF_VERSION);
    if series(found) == series(wanted) && (wanted < 10000 || found / 100 >= wanted / 100) {
        return Ok(());
    }
    let number = |v: i32| format!("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
    let (found, wanted) = (number(found), number(wanted));
    let message = format!("libefferent {found} is loaded, this crate is for {wanted}: use both of one release");
    Err(Error { status: sys::EFF_E_MISMATCH, message })
}

/// An input or output of a policy. Shape and count are those of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    /// `sys::EFF_ROLE_...`
    pub role: i32,
    /// `sys::EFF_F32`, ...
    pub dtype: i32,
    pub shape: Vec<i64>,
    pub count: usize,
}

/// What a trainer exported, ready to run. Immutable; clones share it, threads may too.
pub struct Policy {
    handle: *mut sys::eff_policy,
}

unsafe impl Send for Policy {}
unsafe impl Sync for Policy {}

impl Policy {
    /// Loads an ONNX or safetensors file. What cannot run is refused now, with the node, what was found and what was
    /// expected.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        check_version()?;
        let path = path.as_ref().to_string_lossy().into_owned();
        let refused = |_| Error { status: sys::EFF_E_ARGUMENT, message: "the path has a zero byte".into() };
        let path = CString::new(path).map_err(refused)?;
        let mut handle = ptr::null_mut();
        check(unsafe { sys::eff_policy_load_file(path.as_ptr(), ptr::null(), &mut handle) })?;
        Ok(Policy { handle })
    }

    /// The same from bytes, which are borrowed for the call.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        check_version()?;
        let mut handle = ptr::null_mut();
        check(unsafe { sys::eff_policy_load_memory(bytes.as_ptr().cast(), bytes.len(), ptr::null(), &mut handle) })?;
        Ok(Policy { handle })
    }

    pub fn inputs(&self) -> Result<Vec<Tensor>> {
        let count = unsafe { sys::eff_policy_input_count(self.handle) };
        (0..count).map(|i| tensor(|spec| unsafe { sys::eff_policy_input(self.handle, i, spec) })).collect()
    }

    pub fn outputs(&self) -> Result<Vec<Tensor>> {
        let count = unsafe { sys::eff_policy_output_count(self.handle) };
        (0..count).map(|i| tensor(|spec| unsafe { sys::eff_policy_output(self.handle, i, spec) })).collect()
    }

    /// A session for up to `max_rows` independent robots.
    pub fn session(&self, max_rows: usize) -> Result<Session> {
        let mut options = std::mem::MaybeUninit::<sys::eff_session_options>::zeroed();
        let size = std::mem::size_of::<sys::eff_session_options>();
        let options = unsafe {
            sys::eff_session_options_default(options.as_mut_ptr(), size);
            let mut options = options.assume_init();
            options.max_rows = max_rows;
            options
        };
        let wide = |all: Vec<Tensor>, role| all.iter().find(|t| t.role == role).map_or(0, |t| t.count);
        let observation_count = wide(self.inputs()?, sys::EFF_ROLE_OBSERVATION);
        let action_count = wide(self.outputs()?, sys::EFF_ROLE_ACTION);
        let mut handle = ptr::null_mut();
        check(unsafe { sys::eff_session_create(self.handle, &options, &mut handle) })?;
        Ok(Session { handle, observation_count, action_count })
    }

    /// The handle for [`sys`]; it lives as long as this does.
    pub fn as_ptr(&self) -> *mut sys::eff_policy {
        self.handle
    }
}

fn tensor(describe: impl Fn(*mut sys::eff_tensor_spec) -> sys::eff_status) -> Result<Tensor> {
    let mut spec = unsafe { std::mem::MaybeUninit::<sys::eff_tensor_spec>::zeroed().assume_init() };
    spec.struct_size = std::mem::size_of::<sys::eff_tensor_spec>();
    check(describe(&mut spec))?;
    let shape = spec.shape[..spec.rank as usize].to_vec();
    Ok(Tensor { name: text(spec.name), role: spec.role, dtype: spec.dtype, shape, count: spec.count })
}

impl Clone for Policy {
    fn clone(&self) -> Self {
        Policy { handle: unsafe { sys::eff_policy_retain(self.handle) } }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        unsafe { sys::eff_policy_release(self.handle) }
    }
}

/// One running instance of a policy, which it keeps alive.
pub struct Session {
    handle: *mut sys::eff_session,
    observation_count: usize,
    action_count: usize,
}

unsafe impl Send for Session {}

impl Session {
    /// Numbers of one row's observation, and of its action.
    pub fn observation_count(&self) -> usize {
        self.observation_count
    }

    pub fn action_count(&self) -> usize {
        self.action_count
    }

    /// `[RT]` One step of every row in `observation` [rows, observation_count]; writes `action` [rows, action_count].
    /// Lengths are checked.
    pub fn step(&mut self, observation: &[f32], action: &mut [f32]) -> Result<()> {
        let rows = if self.observation_count == 0 { 1 } else { (observation.len() / self.observation_count).max(1) };
        let status = unsafe {
            let (from, to) = (observation.as_ptr(), action.as_mut_ptr());
            sys::eff_session_step_n(self.handle, rows, from, observation.len(), to, action.len())
        };
        if status >= 0 {
            return Ok(());
        }
        Err(Error { status, message: text(unsafe { sys::eff_session_explain(self.handle) }) })
    }

    /// `[RT]` Clears the recurrent state of one row, or of all with `None`.
    pub fn reset(&mut self, row: Option<usize>) -> Result<()> {
        let status = unsafe { sys::eff_session_reset(self.handle, row.map_or(-1, |r| r as i64)) };
        if status >= 0 {
            return Ok(());
        }
        Err(Error { status, message: text(unsafe { sys::eff_session_explain(self.handle) }) })
    }

    /// `[RT]` Rehearses a step, so that the next one finds its weights in the caches.
    pub fn prewarm(&mut self) -> Result<()> {
        let status = unsafe { sys::eff_session_prewarm(self.handle) };
        if status >= 0 {
            return Ok(());
        }
        Err(Error { status, message: text(unsafe { sys::eff_session_explain(self.handle) }) })
    }

    /// `[RT]` Reads the weights alone, for a pause too short for `prewarm`.
    pub fn prewarm_weights(&self) -> Result<()> {
        let status = unsafe { sys::eff_session_prewarm_weights(self.handle) };
        if status >= 0 {
            return Ok(());
        }
        Err(Error { status, message: text(unsafe { sys::eff_session_explain(self.handle) }) })
    }

    /// The handle for [`sys`]; it lives as long as this does.
    pub fn as_ptr(&mut self) -> *mut sys::eff_session {
        self.handle
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        unsafe { sys::eff_session_destroy(self.handle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies/half_cheetah.onnx")).unwrap()
    }

    #[test]
    fn rows_are_stepped_as_if_they_were_alone() {
        let policy = policy();
        let (mut two, mut one) = (policy.session(2).unwrap(), policy.clone().session(1).unwrap());
        drop(policy); // sessions keep it
        let observation: Vec<f32> = (0..34).map(|i| (i as f32) / 34.0).collect();
        let (mut both, mut alone) = ([0.0; 12], [0.0; 6]);
        two.step(&observation, &mut both).unwrap();
        one.step(&observation[17..], &mut alone).unwrap();
        assert_eq!(both[6..], alone);
    }

    #[test]
    fn refusals_have_a_name_and_words() {
        let error = Policy::from_bytes(b"no model").err().unwrap();
        assert_eq!(error.name(), "EFF_E_FORMAT");
        let mut session = policy().session(1).unwrap();
        let error = session.step(&[0.0; 16], &mut [0.0; 6]).err().unwrap();
        assert_eq!(error.name(), "EFF_E_SHAPE");
        assert!(error.message.contains("16") && error.message.contains("17"), "{}", error.message);
        let error = session.step(&[f32::NAN; 17], &mut [0.0; 6]).err().unwrap();
        assert_eq!(error.name(), "EFF_E_NUMERIC");
        assert_eq!(session.reset(Some(3)).err().unwrap().name(), "EFF_E_ARGUMENT");
    }

    #[test]
    fn a_library_of_another_series_would_be_told() {
        assert_eq!((series(107), series(100), series(900), series(10203)), (1, 1, 9, 100));
    }
}
