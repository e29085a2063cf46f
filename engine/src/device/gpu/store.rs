//! What a start is spared by the ones before it: a file in a folder of the user's, with the variants of kernels that runs used
//! and what the driver's compiler made of them.
//!
//! The file's name and its head are a hash of everything that its content follows from: every kernel's text, the version of
//! this crate, the adapter, its driver, and how the device is opened. So a file can be useless but not wrong. One that cannot
//! be read, is cut short, or was changed (it ends in a checksum) is passed over as if it were not there, and one that cannot
//! be written is not written. It is written beside its place and renamed, so that processes that start or end at the same
//! time read and leave whole files. The checksum is no protection from somebody who may write into the folder: it must be the
//! user's own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use gradus_shaders::{ALL, Constant, Kernel};

use super::{AdapterReport, Gpu, Options, lock};
use crate::dtype::DType;
use crate::error::{Error, Result};

const MAGIC: &[u8; 16] = b"gradus kernels 1";
/// Bytes beside the two parts: magic, hash, the list's length, checksum.
const FRAME: usize = MAGIC.len() + 3 * 8;
/// A larger file is begun anew: the driver's part only ever grows.
const MOST_BYTES: u64 = 64 << 20;
/// Variants that are listed. Those of runs long ago drop out.
const MOST_LISTED: usize = 512;

/// The place of the file, and what it has to begin with.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    hash: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The variants of runs before, the latest run's first.
    pub variants: Vec<(&'static Kernel, DType, Vec<Constant>)>,
    /// For the driver's compiler.
    pub compiled: Option<Vec<u8>>,
}

fn hash(content: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

impl Store {
    pub(super) fn new(folder: &Path, report: &AdapterReport, options: &Options, driver_key: Option<&str>) -> Self {
        let mut hasher = DefaultHasher::new();
        for kernel in ALL.iter().flat_map(|operation| operation.iter()) {
            kernel.name.hash(&mut hasher);
            kernel.files.iter().for_each(|file| file.text.hash(&mut hasher));
        }
        let Options { checked_kernels, plain_kernels, default_limits, .. } = options;
        let device = [&report.name, &report.driver, &report.backend, driver_key.unwrap_or_default()];
        let features = (report.shader_f16, report.subgroups, report.cooperative.len());
        let version = (env!("CARGO_PKG_VERSION"), checked_kernels, plain_kernels, default_limits);
        (device, features, version).hash(&mut hasher);
        let hash = hasher.finish();
        Self { path: folder.join(format!("{hash:016x}.kernels")), hash }
    }

    /// What runs before left; nothing if there is no file that is whole and of this device.
    pub(super) fn read(&self) -> Found {
        let small = std::fs::metadata(&self.path).is_ok_and(|about| about.is_file() && about.len() <= MOST_BYTES);
        let content = small.then(|| std::fs::read(&self.path).ok()).flatten();
        content.and_then(|content| self.parse(&content)).unwrap_or_default()
    }

    fn parse(&self, content: &[u8]) -> Option<Found> {
        let (content, checksum) = content.split_last_chunk::<8>()?;
        let (magic, rest) = content.split_first_chunk::<16>()?;
        let (hash_found, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let fits = magic == MAGIC && *hash_found == self.hash.to_le_bytes() && *checksum == hash(content).to_le_bytes();
        let (list, compiled) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let variants = str::from_utf8(list).ok()?.lines().filter_map(variant).take(MOST_LISTED).collect();
        fits.then(|| Found { variants, compiled: (!compiled.is_empty()).then(|| compiled.to_vec()) })
    }

    fn write(&self, list: &str, compiled: &[u8]) -> std::io::Result<()> {
        let mut content = Vec::with_capacity(FRAME + list.len() + compiled.len());
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&self.hash.to_le_bytes());
        content.extend_from_slice(&(list.len() as u64).to_le_bytes());
        content.extend_from_slice(list.as_bytes());
        content.extend_from_slice(compiled);
        content.extend_from_slice(&hash(content.as_slice()).to_le_bytes());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = std::fs::write(&beside, &content).and_then(|()| std::fs::rename(&beside, &self.path));
        if written.is_err() {
            // What is left of it is of no use to anybody; the folder may be one that cannot be changed.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

/// A line of the list, `matmul/tiled f32 TILE_M=64 TILE_N=64`; `None` for a kernel or constant that there is not.
fn variant(line: &str) -> Option<(&'static Kernel, DType, Vec<Constant>)> {
    let mut words = line.split(' ');
    let (name, element) = (words.next()?, words.next()?);
    let kernel = *ALL.iter().flat_map(|operation| operation.iter()).find(|kernel| kernel.name == name)?;
    let element = [DType::F32, DType::F16, DType::U32].into_iter().find(|dtype| dtype.name() == element)?;
    let constant = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let known =
            kernel.variants.iter().flat_map(|constants| constants.iter()).find(|constant| constant.0 == name)?;
        Some((known.0, value.parse().ok()?))
    };
    Some((kernel, element, words.map(constant).collect::<Option<_>>()?))
}

fn line((kernel, element, constants): (&Kernel, DType, &[Constant])) -> String {
    let constants: String = constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{} {}{constants}\n", kernel.name, element.name())
}

impl Gpu {
    /// Notes in the folder of [`Options::kernel_cache`] which kernels were used and what the driver made of them, for the
    /// next start. Does nothing without such a folder, or if no kernel is new. Dropping the last handle of a device does it
    /// too, passing over what goes wrong.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the file that cannot be written.
    pub fn keep_kernels(&self) -> Result<()> {
        self.0.keep_kernels()
    }
}

impl super::Shared {
    pub(super) fn keep_kernels(&self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let list: String = {
            let mut kernels = lock(&self.kernels);
            if !std::mem::take(&mut kernels.has_new) {
                return Ok(());
            }
            let line_of =
                |variant: &super::kernel::Variant| line((variant.kernel, variant.element, &variant.constants));
            kernels.list().take(MOST_LISTED).map(line_of).collect()
        };
        let compiled = self.compiler.cache.as_ref().and_then(wgpu::PipelineCache::get_data).unwrap_or_default();
        store.write(&list, &compiled).map_err(|error| {
            Error::Gpu(format!("the cache of kernels {} cannot be written: {error}", store.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::test_device;
    use crate::ops::matmul::matmul;
    use crate::ops::unary::negate;
    use crate::{Device, Tensor};
    use gradus_shaders::{arithmetic, reduction};

    fn store(folder: &Path) -> Store {
        Store { path: folder.join("deep").join("some.kernels"), hash: 77 }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("gradus-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn is_nothing(found: &Found) -> bool {
        found.variants.is_empty() && found.compiled.is_none()
    }

    #[test]
    fn what_was_written_is_found_and_nothing_else() {
        let folder = folder("whole");
        let store = store(&folder);
        assert!(is_nothing(&store.read()));
        let constants: &[Constant] = reduction::SUM_COLUMNS.variants[0];
        let list = [(&reduction::SUM_COLUMNS, DType::F32, constants), (&arithmetic::ADD[0], DType::F16, &[][..])];
        let text: String =
            list.iter().map(|&(kernel, element, constants)| line((kernel, element, constants))).collect();
        assert!(!constants.is_empty() && text.contains("COLUMNS="));
        store
            .write(&format!("{text}gone/kernel f32\narithmetic/add_1 f32 NOWHERE=3\narithmetic/add_1 f99\n"), b"blob")
            .unwrap();
        let found = store.read();
        let expected: Vec<_> =
            list.map(|(kernel, element, constants)| (kernel.name, element, constants.to_vec())).into();
        let variants: Vec<_> =
            found.variants.iter().map(|(kernel, element, all)| (kernel.name, *element, all.clone())).collect();
        assert_eq!(variants, expected);
        assert_eq!(found.compiled.as_deref(), Some(&b"blob"[..]));
        assert!(std::fs::read_dir(store.path.parent().unwrap()).unwrap().count() == 1, "something was left beside it");

        let whole = std::fs::read(&store.path).unwrap();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            assert!(store.parse(&changed).is_none(), "byte {place} changed");
            assert!(store.parse(&whole[..place]).is_none(), "cut to {place}");
        }
        assert!(is_nothing(&Store { hash: 78, path: store.path.clone() }.read()), "of another device");
        std::fs::remove_file(&store.path).unwrap();
        std::fs::create_dir(&store.path).unwrap();
        assert!(is_nothing(&store.read()), "a folder in its place");
        assert!(store.write("", b"").is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// What a run computes on a device of its own that keeps its kernels in this folder, how many variants it used, and how
    /// many it knew from runs before.
    fn run(folder: &Path) -> (Vec<f32>, usize, usize) {
        let folder: &'static Path = Box::leak(folder.to_path_buf().into_boxed_path());
        let device = test_device::own(Options { kernel_cache: Some(folder), ..Options::default() });
        let Device::Gpu(gpu) = &device else { panic!("{device:?} is no GPU") };
        let known = lock(&gpu.0.kernels).list().count();
        let x = Tensor::new(&device, &[2, 3], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let product = matmul(&x.clone().into(), &x.reshaped(&[3, 2]).unwrap().into()).unwrap();
        let result = negate(&product).unwrap().into_tensor().to_vec().unwrap();
        let used = lock(&gpu.0.kernels).list().count();
        (result, used, known)
    }

    /// Of the folder's only file.
    fn content(folder: &Path) -> Vec<u8> {
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        std::fs::read(&files[0]).unwrap()
    }

    const RESULT: [f32; 4] = [-22.0, -28.0, -49.0, -64.0];
    const CHILD: &str = "GRADUS_TEST_KERNEL_CACHE";

    #[test]
    fn kernels_are_kept_and_a_file_that_is_wrong_is_passed_over() {
        if let Some(folder) = std::env::var_os(CHILD) {
            assert_eq!(run(Path::new(&folder)).0, RESULT);
            return;
        }
        if test_device::gpu().is_none() {
            return;
        }
        let folder = folder("device");
        let cold = run(&folder);
        assert_eq!((cold.0.as_slice(), cold.2), (&RESULT[..], 0));
        assert!(cold.1 >= 2);
        let kept = content(&folder);
        assert_eq!(run(&folder), (RESULT.to_vec(), cold.1, cold.1), "all are known");
        assert_eq!(content(&folder), kept, "nothing is new, nothing is written");

        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let mut changed = kept.clone();
        changed[kept.len() / 2] ^= 1;
        for wrong in [&changed[..], &kept[..kept.len() / 2], &[], b"something else"] {
            std::fs::write(&file, wrong).unwrap();
            assert_eq!(run(&folder), cold, "as if there were none");
            assert_eq!(run(&folder).2, cold.1, "and it was written anew");
        }

        // Both start without a file and end with one.
        std::fs::remove_file(&file).unwrap();
        let name = "device::gpu::store::tests::kernels_are_kept_and_a_file_that_is_wrong_is_passed_over";
        let child = || {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", name]).env(CHILD, &folder).stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let children = [child(), child()];
        assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
        assert_eq!(run(&folder), (RESULT.to_vec(), cold.1, cold.1));
        content(&folder);

        // A file where the folder should be: nothing can be written there, and nothing needs to be.
        assert_eq!(run(&file), cold);
        assert_eq!(run(&file).2, 0);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
