/// English help texts and their Chinese.
const CHINESE: &[(&str, &str)] = &[
];
