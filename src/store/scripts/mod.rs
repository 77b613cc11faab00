//! One typed function for each Lua script, a file per room of the house.

use super::script::Script;

/// Every script of the program.
pub const ALL: &[&Script] = &[];

macro_rules! script {
    ($name:ident, $path:literal) => {
        pub(crate) static $name: $crate::store::script::Script =
            $crate::store::script::Script::new($path, include_str!(concat!("../../../lua/", $path, ".lua")));
    };
}
pub(crate) use script;
