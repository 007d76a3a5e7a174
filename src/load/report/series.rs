//! Converts the timeline to lines: rates, gaps, and no more points than a screen can
//! show.

use super::Sample;
use super::number::to_f64;

/// The segments of a line; a gap in the figures begins a new segment.
pub(super) type LineSegments = Vec<Vec<(f64, f64)>>;

/// A long timeline is cut into this many chunks; two points of each are drawn.
const MAX_GAUGE_CHUNKS: usize = 300;

const MAX_RATE_STEPS: f64 = 250.0;

/// With fewer events in a step, the line shows mostly noise.
const MIN_EVENTS_PER_STEP: f64 = 20.0;

/// The greatest value and when it was first reached.
pub(super) fn peak(
    timeline: &[Sample],
    value: impl Fn(&Sample) -> Option<f64>,
) -> Option<(f64, f64)> {
    timeline
        .iter()
        .filter_map(|sample| Some((sample.second, value(sample)?)))
        .filter(|(second, value)| second.is_finite() && value.is_finite())
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// The line of a gauge, with its gaps. In a long timeline only the least and the
/// greatest value of each chunk are drawn; gaps shorter than a chunk are not.
pub(super) fn gauge(timeline: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> LineSegments {
    let points: Vec<(f64, Option<f64>)> = timeline
        .iter()
        .filter(|sample| sample.second.is_finite())
        .map(|sample| {
            let value = value(sample).filter(|value| value.is_finite());
            (sample.second, value)
        })
        .collect();
    let chunk_size = points.len().div_ceil(MAX_GAUGE_CHUNKS);
    // Chunks of one or two points have nothing to leave out.
    let points = if chunk_size > 2 {
        downsample(&points, chunk_size)
    } else {
        points
    };
    points
        .split(|(_, value)| value.is_none())
        .map(|segment| {
            segment
                .iter()
                .filter_map(|(second, value)| Some((*second, (*value)?)))
                .collect::<Vec<_>>()
        })
        .filter(|segment| !segment.is_empty())
        .collect()
}

/// The least and the greatest point of each chunk, and both ends.
fn downsample(points: &[(f64, Option<f64>)], chunk_size: usize) -> Vec<(f64, Option<f64>)> {
    let mut drawn: Vec<_> = points.first().copied().into_iter().collect();
    for chunk in points.chunks(chunk_size) {
        let known = || chunk.iter().copied().filter(|point| point.1.is_some());
        let least = known().reduce(|a, b| if b.1 < a.1 { b } else { a });
        let greatest = known().reduce(|a, b| if b.1 > a.1 { b } else { a });
        match (least, greatest) {
            (Some(least), Some(greatest)) if greatest.0 < least.0 => {
                drawn.extend([greatest, least]);
            }
            (Some(least), Some(greatest)) => drawn.extend([least, greatest]),
            _ => drawn.extend(chunk.first()),
        }
    }
    drawn.extend(points.last());
    drawn.dedup();
    drawn
}

/// Length of a rate's step in seconds: short enough to show changes, long enough for
/// `MIN_EVENTS_PER_STEP`.
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

/// The rate a second of a counter, in steps of `step` seconds.
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
    let mut segment = Vec::new();
    let mut from = *begin;
    while from < *end {
        let mut to = from + step;
        // A short rest at the end becomes part of the last step.
        if *end - to < step / 2.0 {
            to = *end;
        }
        // A restarted worker counts from zero again.
        let rose = (count_at(&points, to) - count_at(&points, from)).max(0.0);
        let height = rose / (to - from);
        segment.extend([(from, height), (to, height)]);
        from = to;
    }
    // The line ends after the last event, so that it does not hide the axis.
    if let Some(last) = segment.iter().rposition(|(_, height)| *height > 0.0) {
        let rest = segment.split_off(last + 1);
        segment.extend(rest.first().map(|(second, _)| (*second, 0.0)));
    }
    vec![segment]
}

/// The count at a time, interpolated linearly between the adjacent points.
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

pub(super) fn highest(segments: &LineSegments) -> Option<f64> {
    segments
        .iter()
        .flatten()
        .map(|point| point.1)
        .reduce(f64::max)
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

    fn visible(sample: &Sample) -> Option<f64> {
        sample.visible.map(to_f64)
    }

    #[test]
    fn downsampling_keeps_peaks_and_both_ends() {
        let timeline = depths((0..5_000).map(|second| match second {
            1_234 => Some(9_999),
            4_321 => Some(0),
            _ => Some(100 + second % 7),
        }));
        let segments = gauge(&timeline, visible);
        let drawn = &segments[0];
        assert!(drawn.len() <= 2 * MAX_GAUGE_CHUNKS + 2, "{}", drawn.len());
        assert!(drawn.contains(&(1_234.0, 9_999.0)));
        assert!(drawn.contains(&(4_321.0, 0.0)));
        assert_eq!(drawn.first().map(|point| point.0), Some(0.0));
        assert_eq!(drawn.last().map(|point| point.0), Some(4_999.0));
        assert!(drawn.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_gap_begins_a_new_segment() {
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
        let segments = rate(&points, 2.0);
        let all: f64 = segments[0]
            .chunks(2)
            .map(|step| step[0].1 * (step[1].0 - step[0].0))
            .sum();
        assert!((all - 400.0).abs() < 1e-6, "{all}");
        assert_eq!(segments[0].last().map(|point| point.0), Some(6.3));
        assert_eq!(segments[0][0], (0.0, 115.0));
    }

    #[test]
    fn a_rate_ends_after_the_last_event() {
        let points = [(0.0, 0.0), (2.0, 0.0), (4.0, 8.0), (9.0, 8.0)];
        let segments = rate(&points, 2.0);
        let step = [(0.0, 0.0), (2.0, 0.0), (2.0, 4.0), (4.0, 4.0), (4.0, 0.0)];
        assert_eq!(segments, [step]);
    }

    #[test]
    fn a_rate_needs_two_points_and_never_falls_below_zero() {
        assert!(rate(&[], 1.0).is_empty());
        assert!(rate(&[(3.0, 5.0)], 1.0).is_empty());
        let restarted = rate(&[(0.0, 50.0), (1.0, 0.0), (2.0, f64::NAN)], 1.0);
        assert_eq!(highest(&restarted), Some(0.0));
    }

    #[test]
    fn steps_are_longer_for_long_runs_and_for_few_events() {
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
