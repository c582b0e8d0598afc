//! Joining tasks: a panic in one is a panic of the role, never a silence.

use tokio::task::JoinError;

/// Takes a finished task's result; goes on panicking where it panicked.
pub(crate) fn resume(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
