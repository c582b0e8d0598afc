mod x {}
use super::Fleet;
use crate::host::Host;
pub(crate) fn read(_: &Host) -> Option<Fleet> {
    None
}
