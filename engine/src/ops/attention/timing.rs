use super::*;
use crate::Device;
use crate::tape::Tape;
fn time(shape: [usize; 4]) {
    let mut draw = crate::check::Draw::new(1, usize::MAX);
    let mut make = || {
        let i = draw.normals(&shape, 0.0, 1.0);
        i.tensor(&Device::cpu(), crate::DType::F32).unwrap()
    };
    let (q, k, v, d) = (make(), make(), make(), make());
    let mut best = [f64::MAX; 2];
    for _ in 0..30 {
        let t = std::time::Instant::now();
        let o = attention(&q.clone().into(), &k.clone().into(), &v.clone().into()).unwrap();
        best[0] = best[0].min(t.elapsed().as_secs_f64());
        drop(o);
        let t = std::time::Instant::now();
        let tape = Tape::new();
        let l = [tape.leaf(q.clone()), tape.leaf(k.clone()), tape.leaf(v.clone())];
        let o = attention(&l[0], &l[1], &l[2]).unwrap();
        let _g = tape.backward_from(vec![(o, d.clone())]).unwrap();
        best[1] = best[1].min(t.elapsed().as_secs_f64());
    }
    println!("{shape:?} forward {:.2} ms, both {:.2} ms", best[0] * 1e3, best[1] * 1e3);
}
#[test]
fn timing() {
    time([1, 1024, 8, 64]);
    time([8, 256, 4, 32]);
    time([1, 4096, 1, 64]);
}
