//! How long until a dead member is taken out and a living one back, at worst.
//!
//! `I` interval while up, `F` while going down, `D` while down, `f` fall, `r` rise, `T` what one probe of a hanging member
//! costs (next to nothing when it refuses):
//!
//! ```text
//!  an interval after the last probe ended     down ≤ I + f·T + (f−1)·F      up ≤ D + (r−1)·F
//!  every interval                             down ≤ f·I + T + queue        up ≤ r·I
//!  Tengine's half ticks: as the first, with 1.5·I for I
//! ```
//!
//! HAProxy (I 4 s, f 3): predicted 24, 15, 8, 12 and 5 s, measured 24.0, 14.99, 7.95, 11.97 and 4.99 s.

use super::model::{Active, Cadence};

/// Worst cases in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Detection {
    /// A member that refuses connections, or answers with an error, is out.
    pub(crate) refused_secs: f64,
    /// A member that accepts and then says nothing is out.
    pub(crate) hanging_secs: f64,
    /// A member that lives again is back at full weight.
    pub(crate) return_secs: f64,
}

/// Tengine's timer: ngx_http_upstream_check_module.c, `ngx_http_upstream_check_begin_handler`.
const HALF_TICKS_FACTOR: f64 = 1.5;

/// The worst cases of a probe.
pub(crate) fn detection(probe: &Active) -> Detection {
    let (fall, rise) = (f64::from(probe.fall.value), f64::from(probe.rise.value));
    let (interval, fast, down) = (probe.interval.value, probe.fast.value, probe.down.value);
    let hang = probe.hang_secs.value;
    match probe.cadence {
        Cadence::AfterEnd => after_end(interval, fast, down, fall, rise, hang),
        Cadence::HalfTicks => {
            let stretch = |secs: f64| secs * HALF_TICKS_FACTOR;
            after_end(stretch(interval), stretch(fast), stretch(down), fall, rise, hang)
        }
        Cadence::Fixed => Detection {
            refused_secs: interval + (fall - 1.0) * fast,
            hanging_secs: interval + (fall - 1.0) * fast + hang + probe.queue_secs,
            return_secs: down + (rise - 1.0) * fast,
        },
    }
    .plus_return(probe.slow_start_secs)
}

fn after_end(interval: f64, fast: f64, down: f64, fall: f64, rise: f64, hang: f64) -> Detection {
    let refused_secs = interval + (fall - 1.0) * fast;
    Detection { refused_secs, hanging_secs: refused_secs + fall * hang, return_secs: down + (rise - 1.0) * fast }
}

impl Detection {
    fn plus_return(self, secs: f64) -> Self {
        Self { return_secs: self.return_secs + secs, ..self }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::lb::{Layer, Setting};

    /// A probe with all intervals alike.
    pub(crate) fn probe(cadence: Cadence, interval: f64, fall: u32, rise: u32, hang: f64) -> Active {
        let secs = |value| Setting::default(value, "test");
        Active {
            layer: Layer::Http,
            cadence,
            interval: secs(interval),
            fast: secs(interval),
            down: secs(interval),
            hang_secs: secs(hang),
            fall: Setting::default(fall, "test"),
            rise: Setting::default(rise, "test"),
            consecutive: true,
            slow_start_secs: 0.0,
            queue_secs: 0.0,
            elsewhere: None,
        }
    }

    #[test]
    fn lb_01_worst_cases_are_those_that_were_measured() {
        let with = |interval: f64, fast: f64, down: f64, hang: f64| {
            let secs = |value| Setting::default(value, "test");
            Active { fast: secs(fast), down: secs(down), ..probe(Cadence::AfterEnd, interval, 3, 2, hang) }
        };
        for (name, probe, refused, hanging, back) in [
            ("haproxy's defaults", probe(Cadence::AfterEnd, 2.0, 3, 2, 2.0), 6.0, 12.0, 4.0),
            ("the seed case", probe(Cadence::AfterEnd, 300.0, 3, 2, 300.0), 900.0, 1800.0, 600.0),
            ("300 s to 60 s", probe(Cadence::AfterEnd, 60.0, 3, 2, 60.0), 180.0, 360.0, 120.0),
            ("what is recommended", with(5.0, 1.0, 5.0, 3.0), 7.0, 16.0, 6.0),
            ("measured: 24.0 and 12", with(4.0, 4.0, 4.0, 4.0), 12.0, 24.0, 8.0),
            ("measured: 14.99", with(4.0, 4.0, 4.0, 1.0), 12.0, 15.0, 8.0),
            ("measured: 7.95, 4.99 and 1.48", with(4.0, 0.5, 1.0, 1.0), 5.0, 8.0, 1.5),
            ("tengine's defaults", probe(Cadence::HalfTicks, 30.0, 5, 2, 1.0), 225.0, 230.0, 90.0),
            ("AWS ALB", probe(Cadence::Fixed, 30.0, 2, 5, 5.0), 60.0, 65.0, 150.0),
            ("kubelet", probe(Cadence::Fixed, 10.0, 3, 1, 1.0), 30.0, 31.0, 10.0),
        ] {
            let expected = Detection { refused_secs: refused, hanging_secs: hanging, return_secs: back };
            assert_eq!(detection(&probe), expected, "{name}");
        }
    }
}
