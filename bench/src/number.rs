//! Medians, and numbers that look random but are the same in every run.

/// The middle value, or the mean of the middle two; 0 for nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value that `percent` of a hundred values lie below (`percent` is below 100); 0 for nothing.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(0.0)
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2 to the power of 52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A number below `bound` (which is not 0) that depends on `seed` alone.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
pub(crate) fn scattered(seed: usize, bound: usize) -> usize {
    (mix(seed as u64) % bound as u64) as usize
}

/// 32 base32 characters (160 bits) that depend on `seed` alone: a secret to store.
pub(crate) fn base32_secret(seed: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let seed = mix(seed as u64);
    (0..4)
        .flat_map(|part| mix(seed.wrapping_add(part)).to_le_bytes())
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// `SplitMix64`: no two seeds give one number.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_percentile_leaves_the_rest_above() {
        let values: Vec<f64> = (0..200).rev().map(f64::from).collect();
        assert!((percentile(&values, 99) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 50) - 100.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 99).abs() < f64::EPSILON);
    }

    #[test]
    fn secrets_differ_and_are_base32() {
        let secrets: std::collections::HashSet<String> = (0..1000).map(base32_secret).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| {
            secret.len() == 32
                && secret.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
        }));
    }

    #[test]
    fn scattered_numbers_stay_below_their_bound() {
        assert!((0..1000).all(|seed| scattered(seed, 7) < 7));
    }
}
