// The inputs of the policy in an order of the host's choosing: input i is source wiring[episode, phase, i], where the
// sources are those of the plain order, and the phase changes every `interval` steps.

// True where a phase begins that clears the memory of the channels.
fn forgets(time: u32) -> bool {
    return FORGETS && time > 0u && time % unroll.interval == 0u && time / unroll.interval < unroll.phases;
}

// The source of input i.
fn wired(i: u32, number: u32, time: u32) -> u32 {
    let phase = min(time / unroll.interval, unroll.phases - 1u);
    return min(wiring[(number * unroll.phases + phase) * INPUTS + i], INPUTS - 1u);
}
