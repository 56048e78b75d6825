// Slots lie in a row, whoever's they are.

fn slot_of(workgroup: u32, local: u32) -> u32 {
    return workgroup * WORKGROUP + local;
}
