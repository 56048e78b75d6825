// A workgroup plays groups of one member and shares its weights.

// Slots of a workgroup, and invocations of a slot: one, or a team.
override SLOTS: u32 = WORKGROUP;
override LANES: u32 = WORKGROUP / SLOTS;

var<workgroup> kept: array<f32, 2u * ((WEIGHTS + 1u) / 2u)>;
var<workgroup> tables: array<vec4<f32>, TABLES>;

// Each member has as many workgroups as its groups fill, the last perhaps in part.
fn slot_of(workgroup: u32, place: u32) -> u32 {
    let width = (unroll.groups + SLOTS - 1u) / SLOTS;
    let group = (workgroup % width) * SLOTS + place;
    let slot = (workgroup / width) * unroll.groups + group;
    return select(0xFFFFFFFFu, slot, group < unroll.groups && workgroup / width < unroll.present);
}

fn prepare(needed: bool, local: u32) {
    // Lanes without a slot help, on the member of their workgroup.
    if local == 0u {
        member_of_workgroup = member;
    }
    member = min(workgroupUniformLoad(&member_of_workgroup), unroll.members - 1u);
    for (var pair = local; pair < (WEIGHTS + 1u) / 2u; pair += WORKGROUP) {
        let two = source_pair(pair);
        kept[2u * pair] = two.x;
        kept[2u * pair + 1u] = two.y;
    }
    workgroupBarrier();
    for (var i = local; i < TABLES - LATE_TABLES; i += WORKGROUP) {
        tables[i] = policy_table(i);
    }
    workgroupBarrier();
    // These are made of those before them.
    for (var i = TABLES - LATE_TABLES + local; i < TABLES; i += WORKGROUP) {
        tables[i] = policy_table(i);
    }
    workgroupBarrier();
}

var<workgroup> member_of_workgroup: u32;

fn weight(i: u32) -> f32 {
    return kept[i];
}

fn table(i: u32) -> vec4<f32> {
    return tables[i];
}
