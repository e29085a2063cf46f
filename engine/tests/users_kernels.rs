//! A user's kernel that does not compile, or binds other things than it declares, is an error with its own file and line.

mod device;

use gradus_engine::device::gpu::{Cost, Dispatch, Gpu, Options, Workgroups};
use gradus_engine::shaders::{Access, File, INDEX, Kernel};
use gradus_engine::{DType, Error, Tensor};

const HEAD: &str = "struct Parameters { count: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
";
const ANOTHER: &str = "@group(0) @binding(2) var<storage, read_write> z: array<f32>;\n";
const TAIL: &str = "@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x < parameters.count { y[at.x] = 2.0 * x[at.x]; }
}
";

fn kernel(texts: &[&'static str], bindings: &'static [Access]) -> &'static Kernel {
    let names = ["first.wgsl", "second.wgsl", "third.wgsl"];
    let files: Vec<File> = names.iter().zip(texts).map(|(&path, &text)| File { path, text }).collect();
    Box::leak(Box::new(Kernel { name: "doubled", files: files.leak(), bindings, variants: &[&[]] }))
}

const BOTH: &[Access] = &[Access::Read, Access::ReadWrite];

fn run(gpu: &Gpu, kernel: &'static Kernel, count: u32) -> Result<Vec<f32>, Error> {
    let device = gradus_engine::Device::Gpu(gpu.clone());
    let (x, y) = (Tensor::new(&device, &[3], &[1f32, 2.0, 3.0])?, Tensor::new(&device, &[3], &[0f32; 3])?);
    gpu.dispatch(&Dispatch {
        operation: "doubled",
        kernel,
        element: DType::F32,
        constants: &[],
        parameters: &count.to_le_bytes(),
        buffers: &[&x, &y],
        workgroups: Workgroups::Linear(1),
        cost: Cost::default(),
    })?;
    y.to_vec()
}

#[test]
fn mistakes_in_a_users_kernel_are_named_with_their_line() {
    let options = Options { guard_bands: true, ..Options::from_environment() };
    let Some(gradus_engine::Device::Gpu(gpu)) = device::open(options) else { return };
    assert_eq!(run(&gpu, kernel(&[HEAD, TAIL], BOTH), 3).unwrap(), [2.0, 4.0, 6.0]);
    // Two kernels of one name are two kernels.
    let refuse = |kernel| match run(&gpu, kernel, 3) {
        Err(error @ Error::Kernel { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let message = refuse(kernel(&[HEAD, "\nfn f() -> f32 { return 1u; }\n", TAIL], BOTH));
    assert!(message.contains("doubled") && message.contains("second.wgsl:2"), "{message}");
    let message = refuse(kernel(&["// three\n// lines\nfn g( {}\n", HEAD, TAIL], BOTH));
    assert!(message.contains("first.wgsl:3"), "{message}");
    let message = refuse(kernel(&[HEAD, TAIL], &[Access::Read]));
    assert!(message.contains("second.wgsl:1") && message.contains("`y` is @group(0) @binding(2)"), "{message}");
    assert!(
        message.contains("expected in @group(0): @binding(0) var<uniform>, @binding(1) var<storage, read>"),
        "{message}"
    );
    let message = refuse(kernel(&[HEAD, TAIL], &[Access::Read, Access::Read]));
    assert!(message.contains("`y` is @group(0) @binding(2) var<storage, read_write>"), "{message}");
    let message = refuse(kernel(&[HEAD, TAIL], &[Access::Read, Access::ReadWrite, Access::Read]));
    assert!(message.contains("no variable has @binding(3)"), "{message}");
    let message = refuse(kernel(&[HEAD, ANOTHER, TAIL], BOTH));
    assert!(message.contains("`y` is a second variable at @binding(2)"), "{message}");
    let message = refuse(kernel(&[HEAD], &[Access::Read]));
    assert!(message.contains("no compute entry point called `main`"), "{message}");
    // What parses and binds rightly, but is no valid program.
    let message =
        refuse(kernel(&[HEAD, "fn h() -> f32 { let a = array<f32, 2>(1.0, 2.0); return a[5]; }\n", TAIL], BOTH));
    assert!(message.contains("second.wgsl:1"), "{message}");
    // Another number of tensors than the kernel has bindings for.
    let good = kernel(&[HEAD, TAIL], BOTH);
    let x = Tensor::new(&gradus_engine::Device::Gpu(gpu.clone()), &[3], &[1f32; 3]).unwrap();
    let dispatch = Dispatch {
        operation: "doubled",
        kernel: good,
        element: DType::F32,
        constants: &[],
        parameters: &3u32.to_le_bytes(),
        buffers: &[&x],
        workgroups: Workgroups::Linear(1),
        cost: Cost::default(),
    };
    let message = gpu.dispatch(&dispatch).unwrap_err().to_string();
    assert!(message.contains("2 storage bindings, 1 tensors were given"), "{message}");
    // The device goes on.
    // The text of INDEX without its place in the table does not make a kernel that splits: its binding is not expected.
    assert!(refuse(kernel(&[INDEX.text, HEAD, TAIL], BOTH)).contains("@binding(8)"));
    assert_eq!(run(&gpu, good, 3).unwrap(), [2.0, 4.0, 6.0]);
    gpu.verify_guards().unwrap();
    // One that goes too far stays within its binding, where the guard band sees it.
    assert_eq!(run(&gpu, good, 4).unwrap(), [2.0, 4.0, 6.0]);
    assert!(gpu.verify_guards().unwrap_err().to_string().contains("wrote 1 words"));
}
