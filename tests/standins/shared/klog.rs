//! Lines as klog writes them, on stderr: `I1123 08:16:01.123456    1234 join.go:65] text`.

use std::time::{SystemTime, UNIX_EPOCH};

/// One line; `level` is I, W, E or F, `place` the file and line of the real program.
pub(crate) fn line(level: char, place: &str, text: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (month, day) = month_and_day(now.as_secs() / 86_400);
    let of_day = now.as_secs() % 86_400;
    eprintln!(
        "{level}{month:02}{day:02} {:02}:{:02}:{:02}.{:06} {:7} {place}] {}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        now.subsec_micros(),
        std::process::id(),
        text.trim_end()
    );
}

/// Month and day (UTC) of a day since 1970-01-01.
fn month_and_day(mut days: u64) -> (usize, u64) {
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in
            [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
        {
            if days < length {
                return (month + 1, days + 1);
            }
            days -= length;
        }
    }
    (1, 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_calendar_knows_leap_years() {
        for (days, date) in [(0, (1, 1)), (58, (2, 28)), (59, (3, 1)), (19_782, (2, 29)), (20_780, (11, 23))] {
            assert_eq!(super::month_and_day(days), date, "{days}");
        }
    }
}
