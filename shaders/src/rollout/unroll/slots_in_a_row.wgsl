// Slots lie in a row, whoever's they are.

// Slots of a workgroup, and invocations of a slot: one, or a team.
override SLOTS: u32 = WORKGROUP;
override LANES: u32 = WORKGROUP / SLOTS;

fn slot_of(workgroup: u32, place: u32) -> u32 {
    return workgroup * SLOTS + place;
}
