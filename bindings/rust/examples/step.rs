//! Steps a policy with zeros and prints its action:   cargo run --example step -- POLICY.onnx
fn main() {
    let path = std::env::args().nth(1).unwrap_or_else(|| "policy.onnx".into());
    if let Err(error) = run(&path) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run(path: &str) -> efferent::Result<()> {
    let policy = efferent::Policy::load(path)?;
    let mut session = policy.session(1)?;
    let observation = vec![0.0; session.observation_count()];
    let mut action = vec![0.0; session.action_count()];
    session.step(&observation, &mut action)?;
    println!("{}", action.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(" "));
    Ok(())
}
