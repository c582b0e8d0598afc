//! From days to dates, for reports: the way back from [`super::date`].

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant, `civil_from_days`).
#[must_use]
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era.saturating_mul(400) + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::super::date::days_since_1970;
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_way_back() {
        for (days, date) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_454, (2026, 1, 1)), (-1, (1969, 12, 31))] {
            assert_eq!(civil(days), date);
        }
        for days in (0..40_000).step_by(13) {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_1970(year, month, day), Some(days));
        }
        // No number is too large.
        assert!(civil(i64::MAX).0 > 9999 && civil(i64::MIN).0 < 0);
    }
}
