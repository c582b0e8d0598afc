//! Between columns and types: fixed-length ids and unsigned times.

use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A time as SQLite keeps it.
pub(super) fn int(time: UnixTime) -> i64 {
    unsigned(time.0)
}

/// A count as SQLite keeps it; counts beyond 2^63 do not exist here.
pub(super) fn unsigned(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A non-negative column.
pub(super) fn count(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|e| damaged(column, e))
}

/// A time column.
pub(super) fn time(row: &SqliteRow, column: &str) -> Result<UnixTime, sqlx::Error> {
    count(row, column).map(UnixTime)
}

/// A time column that may be empty.
pub(super) fn time_or_none(row: &SqliteRow, column: &str) -> Result<Option<UnixTime>, sqlx::Error> {
    Ok(count_or_none(row, column)?.map(UnixTime))
}

/// A non-negative column that may be empty.
pub(super) fn count_or_none(row: &SqliteRow, column: &str) -> Result<Option<u64>, sqlx::Error> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|v| u64::try_from(v).map_err(|e| damaged(column, e))).transpose()
}

/// A column of exactly `N` bytes.
pub(super) fn bytes<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N], sqlx::Error> {
    let value: &[u8] = row.try_get(column)?;
    value.try_into().map_err(|e| damaged(column, e))
}

/// A column of exactly `N` bytes that may be empty.
pub(super) fn bytes_or_none<const N: usize>(row: &SqliteRow, column: &str) -> Result<Option<[u8; N]>, sqlx::Error> {
    let value: Option<&[u8]> = row.try_get(column)?;
    value.map(|v| v.try_into().map_err(|e| damaged(column, e))).transpose()
}

/// What stands in the column cannot stand there.
pub(super) fn damaged(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(source) }
}
