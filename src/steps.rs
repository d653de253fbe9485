//! The steps that installations are made of; one kind per file. [`crate::mode`] puts them together.

pub mod cloud;
mod components;
mod edgecore;
mod edgecore_data;
mod edgecore_program;
mod files;
mod fingerprint;
mod first_boot;
mod host_files;
mod images;
mod join;
mod kept_bundle;
mod kernel_arguments;
mod leftovers;
mod own_program;
mod pod_runs;
mod preload;
mod ready;
mod runtime_start;
mod settings;

pub use components::Components;
pub use edgecore::{Edgecore, Program};
pub use edgecore_program::EdgecoreProgram;
pub use files::{File, Files};
pub use first_boot::{FirstBoot, MARKER, PROGRAM};
pub use host_files::{HostFiles, prepare_kernel};
pub use images::Images;
pub use join::{JoinCloud, Way};
pub use kept_bundle::{KeptBundle, Source as KeptFrom};
pub use kernel_arguments::{KernelArguments, System, Wanted as WantedArguments};
pub use own_program::OwnProgram;
pub use pod_runs::PodRuns;
pub use preload::{Line, Preload};
pub use ready::NodeReady;
pub use runtime_start::RuntimeStart;
pub use settings::Settings;
