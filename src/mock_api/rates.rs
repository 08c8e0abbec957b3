//! Rates of faults: shares from 0.0 to 1.0, of which at most one applies.

/// Checks rates with their names. `kind` names all of them, and `subject` is what has at most one fault.
///
/// # Errors
/// The message names the rate that is no share, or gives the sum that is too large.
pub(super) fn check_rates(rates: &[(&str, f64)], kind: &str, subject: &str) -> Result<(), String> {
    if let Some((name, rate)) = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
        return Err(format!(
            "the {name} is {rate}: a rate is a share from 0.0 to 1.0"
        ));
    }
    let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
    // In floating point, ten times 0.1 can be a little more than 1.
    if sum > 1.0 + 1e-9 {
        return Err(format!(
            "the {kind} rates add up to {sum}: a {subject} has at most one fault, so their sum must be at most 1.0"
        ));
    }
    Ok(())
}
