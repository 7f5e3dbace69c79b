import CABI
import CEfferent

// loads a policy, if one is given, and takes one step
print("efferent", eff_version(), String(cString: eff_status_name(eff_status(EFF_E_SHAPE))))
guard CommandLine.arguments.count > 1 else { fatalError("usage: Dependent MODEL.onnx") }

var policy: OpaquePointer?
guard eff_policy_load_file(CommandLine.arguments[1], nil, &policy) == EFF_OK else {
  fatalError(String(cString: eff_last_error()))
}
var session: OpaquePointer?
guard eff_session_create(policy, nil, &session) == EFF_OK else { fatalError(String(cString: eff_last_error())) }
eff_policy_release(policy)
guard eff_session_run(session, 1) == EFF_OK, eff_session_output(session, 0) != nil else { fatalError("run failed") }
eff_session_destroy(session)
print("ok")
