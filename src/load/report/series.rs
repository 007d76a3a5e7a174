//! From the timeline to what is drawn: rates, gaps, and no more points than a
//! screen can show.

use super::Sample;
use super::number::to_f64;

/// Points that belong together; a gap in the figures begins a new run.
pub(super) type LineSegments = Vec<Vec<(f64, f64)>>;

/// Pieces into which a long timeline is cut; each keeps two points.
const MAX_GAUGE_CHUNKS: usize = 300;

/// Most steps of a rate.
const MAX_RATE_STEPS: f64 = 250.0;

/// So many events should fall into a step, or the line shows chance alone.
const MIN_EVENTS_PER_STEP: f64 = 20.0;

/// The greatest value and when it was first reached.
pub(super) fn peak(
    timeline: &[Sample],
    value: impl Fn(&Sample) -> Option<f64>,
) -> Option<(f64, f64)> {
    timeline
        .iter()
        .filter_map(|moment| Some((moment.second, value(moment)?)))
        .filter(|(second, value)| second.is_finite() && value.is_finite())
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// A gauge as it was, with its gaps. Of a long timeline each piece keeps its least
/// and its greatest value, and a gap that is shorter than a piece is not seen.
pub(super) fn gauge(timeline: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> LineSegments {
    let points: Vec<(f64, Option<f64>)> = timeline
        .iter()
        .filter(|moment| moment.second.is_finite())
        .map(|moment| {
            let value = value(moment).filter(|value| value.is_finite());
            (moment.second, value)
        })
        .collect();
    let piece = points.len().div_ceil(MAX_GAUGE_CHUNKS);
    // Below three points a piece has nothing to leave out.
    let points = if piece > 2 {
        downsample(&points, piece)
    } else {
        points
    };
    points
        .split(|(_, value)| value.is_none())
        .map(|run| {
            run.iter()
                .filter_map(|(second, value)| Some((*second, (*value)?)))
                .collect::<Vec<_>>()
        })
        .filter(|run| !run.is_empty())
        .collect()
}

/// Two points of each piece, the least and the greatest, and both ends.
fn downsample(points: &[(f64, Option<f64>)], piece: usize) -> Vec<(f64, Option<f64>)> {
    let mut kept: Vec<_> = points.first().copied().into_iter().collect();
    for piece in points.chunks(piece) {
        let known = || piece.iter().copied().filter(|point| point.1.is_some());
        let least = known().reduce(|a, b| if b.1 < a.1 { b } else { a });
        let most = known().reduce(|a, b| if b.1 > a.1 { b } else { a });
        match (least, most) {
            (Some(least), Some(most)) if most.0 < least.0 => kept.extend([most, least]),
            (Some(least), Some(most)) => kept.extend([least, most]),
            _ => kept.extend(piece.first()),
        }
    }
    kept.extend(points.last());
    kept.dedup();
    kept
}

/// How many seconds a step of a rate should be: short enough to see a change, long
/// enough for enough events.
pub(super) fn step_seconds(seconds: f64, events: u64) -> f64 {
    let seconds = if seconds.is_finite() { seconds } else { 0.0 };
    let for_events = MIN_EVENTS_PER_STEP * seconds / to_f64(events.max(1));
    let wanted = (seconds / MAX_RATE_STEPS).max(for_events.min(seconds / 20.0));
    [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0,
    ]
    .into_iter()
    .find(|step| *step >= wanted)
    .unwrap_or_else(|| (wanted / 3_600.0).ceil() * 3_600.0)
}

/// What a count that only grows rose by in each step, a second.
pub(super) fn rate(points: &[(f64, f64)], step: f64) -> LineSegments {
    let points: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|(second, count)| second.is_finite() && count.is_finite())
        .collect();
    let (Some((begin, _)), Some((end, _))) = (points.first(), points.last()) else {
        return LineSegments::new();
    };
    if end <= begin {
        return LineSegments::new();
    }
    let mut run = Vec::new();
    let mut from = *begin;
    while from < *end {
        let mut to = from + step;
        // What is left at the end is too short for a step of its own.
        if *end - to < step / 2.0 {
            to = *end;
        }
        // A restarted worker counts from zero again.
        let rose = (count_at(&points, to) - count_at(&points, from)).max(0.0);
        let height = rose / (to - from);
        run.extend([(from, height), (to, height)]);
        from = to;
    }
    // Where nothing more comes the line ends, and does not hide the axis.
    if let Some(last) = run.iter().rposition(|(_, height)| *height > 0.0) {
        let rest = run.split_off(last + 1);
        run.extend(rest.first().map(|(second, _)| (*second, 0.0)));
    }
    vec![run]
}

/// The count at a time, on the straight line between the points beside it.
fn count_at(points: &[(f64, f64)], second: f64) -> f64 {
    let after = points.partition_point(|(at, _)| *at < second);
    match (
        after.checked_sub(1).and_then(|at| points.get(at)),
        points.get(after),
    ) {
        (Some(before), Some(next)) if next.0 > before.0 => {
            let share = (second - before.0) / (next.0 - before.0);
            before.1 + share * (next.1 - before.1)
        }
        (_, Some(only)) | (Some(only), None) => only.1,
        (None, None) => 0.0,
    }
}

/// The highest point.
pub(super) fn highest(runs: &LineSegments) -> Option<f64> {
    runs.iter().flatten().map(|point| point.1).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(depths: impl IntoIterator<Item = Option<u64>>) -> Vec<Sample> {
        (0_u32..)
            .zip(depths)
            .map(|(second, visible)| Sample {
                second: f64::from(second),
                visible,
                ..Sample::default()
            })
            .collect()
    }

    fn visible(moment: &Sample) -> Option<f64> {
        moment.visible.map(to_f64)
    }

    #[test]
    fn a_long_timeline_is_thinned_and_keeps_its_peaks() {
        let timeline = depths((0..5_000).map(|second| match second {
            1_234 => Some(9_999),
            4_321 => Some(0),
            _ => Some(100 + second % 7),
        }));
        let runs = gauge(&timeline, visible);
        let kept = &runs[0];
        assert!(kept.len() <= 2 * MAX_GAUGE_CHUNKS + 2, "{}", kept.len());
        assert!(kept.contains(&(1_234.0, 9_999.0)));
        assert!(kept.contains(&(4_321.0, 0.0)));
        assert_eq!(kept.first().map(|point| point.0), Some(0.0));
        assert_eq!(kept.last().map(|point| point.0), Some(4_999.0));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_gap_begins_a_new_run() {
        let timeline = depths([Some(1), Some(2), None, Some(3), None]);
        assert_eq!(
            gauge(&timeline, visible),
            [vec![(0.0, 1.0), (1.0, 2.0)], vec![(3.0, 3.0)],]
        );
        assert!(gauge(&depths([None, None]), visible).is_empty());
        let long =
            depths((0..6_000).map(|second| (!(2_000..=3_000).contains(&second)).then_some(1)));
        assert_eq!(gauge(&long, visible).len(), 2);
    }

    #[test]
    fn the_peak_is_the_first_of_the_greatest() {
        let timeline = depths([Some(1), None, Some(7), Some(7), Some(2)]);
        assert_eq!(peak(&timeline, visible), Some((2.0, 7.0)));
        assert_eq!(peak(&[], visible), None);
    }

    #[test]
    fn a_rate_loses_no_event() {
        let points: Vec<(f64, f64)> = [
            (0.0, 0.0),
            (1.1, 90.0),
            (2.0, 230.0),
            (5.2, 230.0),
            (6.3, 400.0),
        ]
        .to_vec();
        let runs = rate(&points, 2.0);
        let all: f64 = runs[0]
            .chunks(2)
            .map(|step| step[0].1 * (step[1].0 - step[0].0))
            .sum();
        assert!((all - 400.0).abs() < 1e-6, "{all}");
        assert_eq!(runs[0].last().map(|point| point.0), Some(6.3));
        assert_eq!(runs[0][0], (0.0, 115.0));
    }

    #[test]
    fn a_rate_ends_where_nothing_more_comes() {
        let points = [(0.0, 0.0), (2.0, 0.0), (4.0, 8.0), (9.0, 8.0)];
        let runs = rate(&points, 2.0);
        let step = [(0.0, 0.0), (2.0, 0.0), (2.0, 4.0), (4.0, 4.0), (4.0, 0.0)];
        assert_eq!(runs, [step]);
    }

    #[test]
    fn a_rate_needs_two_points_and_never_falls_below_zero() {
        assert!(rate(&[], 1.0).is_empty());
        assert!(rate(&[(3.0, 5.0)], 1.0).is_empty());
        let restarted = rate(&[(0.0, 50.0), (1.0, 0.0), (2.0, f64::NAN)], 1.0);
        assert_eq!(highest(&restarted), Some(0.0));
    }

    #[test]
    fn steps_grow_with_the_run_and_with_the_silence() {
        for (seconds, events, step) in [
            (100.0, 10_000, 1.0),
            (100.0, 2_000, 1.0),
            (100.0, 1_000, 2.0),
            (100.0, 3, 5.0),
            (14_400.0, 1_000_000, 60.0),
            (0.0, 0, 1.0),
            (f64::NAN, 0, 1.0),
        ] {
            let found = step_seconds(seconds, events);
            assert!((found - step).abs() < 1e-9, "{seconds} {events}: {found}");
        }
    }
}
