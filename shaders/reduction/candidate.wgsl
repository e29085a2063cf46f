// The first of the largest elements, found by integers alone, since a compiler may assume that no float is a NaN.
//
// x holds the bits of f32. Each element has a key whose order as a number is the order of the floats: 0 and -0 have the same,
// and every NaN the highest, so that a NaN wins. Of equal keys the lower place wins. FIRST is 1 where every element of x is
// a candidate; else `candidates` holds their places in x, from the reduction before.

struct Candidate {
    key: u32,
    place: u32,
}

// Loses against every element.
const NONE: Candidate = Candidate(0u, 0xffffffffu);

fn key(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u {
        return 0xffffffffu;
    }
    return select(0x80000000u + magnitude, 0x80000000u - magnitude, bits >= 0x80000000u);
}

fn better(a: Candidate, b: Candidate) -> Candidate {
    if b.key > a.key || (b.key == a.key && b.place < a.place) {
        return b;
    }
    return a;
}

fn candidate(index: u32) -> Candidate {
    var place = index;
    if FIRST == 0u {
        place = candidates[index];
    }
    return Candidate(key(x[place]), place);
}
