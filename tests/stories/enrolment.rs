//! Who gets in: enrolment, and everybody who is refused.
