import Kernels
import Platform

extension LearnerHandle {
  /// Actor, then critic, from one TD error each; the forward pass for batch row 0 has been made. Both are checked
  /// before either moves.
  @_noLocks func learn(_ outcome: Outcome, slot: Int, _ report: UnsafeMutablePointer<UpdateReport>) {
    let state = core.pointee.state
    let s = core.pointee.settings
    let learnsActor = core.pointee.hasActor && mayActorLearn(report)
    let learnsCritic = !state.pointee.freeze.critic
    var actorRule = eff_learn_rule()
    var criticRule = eff_learn_rule()
    if learnsActor {
      // a learner that only watches has not run its actor yet
      forwardPolicy()
      writeActorGradient(delta: outcome.actorDelta)
      actorRule = trace(
        &core.pointee.actor, &state.pointee.actor, outcome.actorDelta, isActor: true, &report.pointee.actor)
    } else if core.pointee.actor.cell_count > 0 {
      forwardPolicy()
      eff_learn_advance(&core.pointee.actor)
    }
    if learnsCritic {
      let g = core.pointee.critic.gradient(isDouble: s.isDouble)
      var delta = outcome.delta
      if let head = core.pointee.head {
        head.pointee.writeGradient(slot: slot, into: g)
        delta = head.pointee.common
      } else {
        for i in 0..<s.criticOutputs { g[i] = i == slot ? -1 : 0 }
      }
      criticRule = trace(&core.pointee.critic, &state.pointee.critic, delta, isActor: false, &report.pointee.critic)
    } else {
      eff_learn_advance(&core.pointee.critic)
    }
    // a described actor acts; without one the critic does
    if learnsActor {
      report.pointee.actor.stepSize *= state.pointee.watch.stepScale
    } else if !core.pointee.hasActor {
      report.pointee.critic.stepSize *= state.pointee.watch.stepScale
    }
    guard isSound(report.pointee.actor, state.pointee.actor), isSound(report.pointee.critic, state.pointee.critic),
      isHeadSound(report.pointee.critic)
    else { return fail(report) }
    if learnsActor {
      state.pointee.counters.actorDrift += move(
        &core.pointee.actor, &state.pointee.actor, &actorRule, &report.pointee.actor)
    }
    if learnsCritic {
      state.pointee.counters.criticDrift += move(
        &core.pointee.critic, &state.pointee.critic, &criticRule, &report.pointee.critic)
      turnHead(&criticRule, report.pointee.critic)
    }
    if !learnsActor && !learnsCritic { report.pointee.reason = .frozen }
  }

  /// Whether a step and what the optimizer remembers are finite, also in single precision.
  @_noLocks private func isSound(_ r: NetworkReport, _ o: OptimizerState) -> Bool {
    let step = (r.stepSize * r.deltaUsed).magnitude
    return r.traceNorm <= 1e30 && step <= 1e30 && step * r.traceNorm <= 1e30 && o.sigma <= 1e300
      && o.clipSquare <= 1e300 && o.magnitude <= 1e300 && o.energy <= 1e300
  }

  /// The same of what each output of a head moves.
  @_noLocks private func isHeadSound(_ r: NetworkReport) -> Bool {
    guard let head = core.pointee.head else { return true }
    let step = r.stepSize * head.pointee.largest / abs(head.pointee.direction[0])
    return step <= 1e30 && step * r.traceNorm <= 1e30
  }

  /// Whether the actor's weights may change now, with the reason where not.
  @_noLocks private func mayActorLearn(_ report: UnsafeMutablePointer<UpdateReport>) -> Bool {
    let state = core.pointee.state
    if state.pointee.freeze.actor || state.pointee.counters.updates <= core.pointee.settings.actorDelay { return false }
    if core.pointee.watch.driftBudget > 0 && state.pointee.counters.actorDrift >= core.pointee.watch.driftBudget {
      report.pointee.reason = .drift
      return false
    }
    if core.pointee.watch.changeLimit > 0 && state.pointee.change.mean > core.pointee.watch.changeLimit {
      report.pointee.reason = .change
      return false
    }
    return true
  }

  /// Gradient of -(log pi(a|s) + beta sign(delta) H(s)) for the actor's outputs.
  @_noLocks private func writeActorGradient(delta: Double) {
    let s = core.pointee.settings
    let g = core.pointee.actor.gradient(isDouble: s.isDouble)
    let bonus = delta > 0 ? s.entropy : delta < 0 ? -s.entropy : 0
    if s.algorithm.isContinuous {
      gaussian.gradient(action: core.pointee.action, bonus: bonus, into: g)
    } else {
      let choice = Int(core.pointee.state.pointee.choice)
      softmax.gradient(choice: choice, bonus: bonus, scratch: core.pointee.scratch, into: g)
    }
  }

  /// Backward pass: brings traces (and moments) up to date and finds the step.
  ///
  /// ObGD: M = max(|delta|, 1) z lr kappa; step = lr / M where M > 1, else lr.
  /// Intentional (arXiv 2604.19033): step = eta / max(sqrt(sigma / (1 - decay^t) Z), 1e-8), and delta is clipped and,
  /// for the actor, normalized. Beside the paper, for the actor where they are asked for: the normalized delta is
  /// clipped at +-errorCap, and Z is its own running mean (betaEnergy), corrected for its start at 0.
  @_noLocks private func trace(
    _ net: UnsafeMutablePointer<eff_learn_net>, _ o: UnsafeMutablePointer<OptimizerState>, _ delta: Double,
    isActor: Bool,
    _ report: UnsafeMutablePointer<NetworkReport>
  ) -> eff_learn_rule {
    let s = core.pointee.settings
    let decay = core.pointee.state.pointee.decay
    o.pointee.count &+= 1
    let t = Double(o.pointee.count)
    var rule = eff_learn_rule()
    rule.decay = decay
    rule.delta = delta
    if s.optimizer.hasMoments {
      rule.beta = s.beta2
      rule.correction = 1 - eff_learn_pow(s.beta2, t)
      rule.epsilon = s.momentEpsilon
    }
    let sums = eff_learn_backward(core.pointee.kernels, s.optimizer.rule, net, &rule)
    report.pointee.traceNorm = sums.l1
    if s.optimizer.isIntentional {
      let fresh = 1 - s.gamma * s.lambda
      o.pointee.sigma += fresh * (sums.power - o.pointee.sigma)
      let sigma = o.pointee.sigma / (1 - eff_learn_pow(s.gamma * s.lambda, t))
      var energy = sums.energy
      if isActor && s.betaEnergy > 0 {
        o.pointee.energy = s.betaEnergy * o.pointee.energy + (1 - s.betaEnergy) * energy
        energy = o.pointee.energy / (1 - eff_learn_pow(s.betaEnergy, t))
      }
      report.pointee.stepSize = (isActor ? s.etaPolicy : s.etaValue) / max(eff_learn_sqrt(sigma * energy), 1e-8)
      o.pointee.clipSquare = s.betaClip * o.pointee.clipSquare + (1 - s.betaClip) * delta * delta
      let cap = s.clipMultiple * eff_learn_sqrt(o.pointee.clipSquare / (1 - eff_learn_pow(s.betaClip, t)))
      var d = min(max(delta, -cap), cap)
      if isActor {
        o.pointee.magnitude = s.betaNorm * o.pointee.magnitude + (1 - s.betaNorm) * abs(d)
        d /= max(o.pointee.magnitude / (1 - eff_learn_pow(s.betaNorm, t)), 1e-12)
        d = min(max(d, -s.errorCap), s.errorCap)
      }
      report.pointee.deltaUsed = d
    } else {
      let kappa = isActor ? s.kappaPolicy : s.kappaValue
      let largest = isActor ? 0 : core.pointee.head?.pointee.largest ?? 0
      let bound = max(max(abs(delta), 1), largest) * sums.l1 * s.stepSize * kappa
      report.pointee.bound = bound
      report.pointee.stepSize = bound > 1 ? s.stepSize / bound : s.stepSize
      report.pointee.deltaUsed = delta
    }
    return rule
  }

  /// w -= step delta e / s, left to the next forward pass where the rule allows it. Returns the L1 distance.
  @_noLocks private func move(
    _ net: UnsafeMutablePointer<eff_learn_net>, _ o: UnsafeMutablePointer<OptimizerState>,
    _ rule: UnsafePointer<eff_learn_rule>,
    _ report: UnsafeMutablePointer<NetworkReport>
  ) -> Double {
    let step = report.pointee.stepSize * report.pointee.deltaUsed
    if core.pointee.settings.optimizer.hasMoments {
      eff_learn_apply(core.pointee.kernels, core.pointee.settings.optimizer.rule, net, rule, step)
    } else {
      o.pointee.due = step
    }
    report.pointee.isChanged = true
    return abs(step) * report.pointee.traceNorm
  }

  /// Gives each output of a head that has errors of its own the step that is its own; the shared one is `move`'s. The
  /// trace's scale is that of u where the optimizer has moments, and so u has no part in the steps.
  @_noLocks private func turnHead(_ rule: UnsafePointer<eff_learn_rule>, _ report: NetworkReport) {
    guard let head = core.pointee.head else { return }
    let s = core.pointee.settings
    let u = head.pointee.direction[0]
    let common = head.pointee.common
    // what clips the shared error clips all of them
    let share = common == 0 ? 1 : report.deltaUsed / common
    let step = report.stepSize * share / (s.optimizer.hasMoments ? (u < 0 ? -1 : 1) : u)
    for k in 0..<head.pointee.size { head.pointee.steps[k] = step * head.pointee.errors[k] }
    var place = head.pointee.place
    core.pointee.state.pointee.counters.criticDrift += eff_learn_turn_head(
      s.isDouble ? Int32(EFF_TYPE_F64) : Int32(EFF_TYPE_F32), &place, &core.pointee.critic, s.optimizer.rule, rule,
      head.pointee.steps, report.stepSize * report.deltaUsed)
  }

  /// Makes the updates that are due, so that the weights in memory are the learner's weights.
  @_noLocks func settle() {
    let state = core.pointee.state
    var none = eff_learn_rule()
    if state.pointee.actor.due != 0 {
      eff_learn_apply(core.pointee.kernels, Int32(EFF_LEARN_OBGD), &core.pointee.actor, &none, state.pointee.actor.due)
    }
    if state.pointee.critic.due != 0 {
      eff_learn_apply(
        core.pointee.kernels, Int32(EFF_LEARN_OBGD), &core.pointee.critic, &none, state.pointee.critic.due)
    }
    state.pointee.actor.due = 0
    state.pointee.critic.due = 0
  }

  @_noLocks func clearTraces() {
    settle()
    let width = core.pointee.settings.isDouble ? 8 : 4
    if core.pointee.hasActor { eff_zero(core.pointee.actor.e, Int(core.pointee.actor.count) * width) }
    eff_zero(core.pointee.critic.e, Int(core.pointee.critic.count) * width)
  }
}
