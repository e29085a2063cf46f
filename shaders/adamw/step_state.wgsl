// The step state: what changes from step to step, as 32-bit words. The host writes the first two before a step, the
// kernel `finish` the rest, `update` reads them. Floats are kept as their bits.

const STEP: u32 = 0u;             // steps taken, this one included
const LEARNING_RATE: u32 = 1u;    // f32
const LOSS_SCALE: u32 = 2u;       // f32: gradients are those of so many times the loss
const FINITE: u32 = 3u;           // 1: the step is applied
const FIRST_BAD: u32 = 4u;        // the first tensor with a gradient that is not finite, or NONE
const GRADIENT_NORM: u32 = 5u;    // f32, loss scale taken out, before clipping
const APPLIED: u32 = 6u;          // steps applied, this one included if it is
const CLIP: u32 = 7u;             // f32, at most 1
const GRADIENT_FACTOR: u32 = 8u;  // f32: clip / loss scale
const CORRECTION_1: u32 = 9u;     // f32: 1 - beta1^applied
const CORRECTION_2: u32 = 10u;    // f32: 1 - beta2^applied
const NEXT_SCALE: u32 = 11u;      // f32: the loss scale of the next step
const IN_A_ROW: u32 = 12u;        // steps applied since the loss scale changed or a step was not applied
const WORDS: u32 = 16u;

const NONE: u32 = 0xffffffffu;
