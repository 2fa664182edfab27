// SPDX-License-Identifier: Apache-2.0
//! A WASI command: the event comes on standard input as JSON and in the environment (CE_TYPE…), the
//! reply event goes to standard output, as headers and a body. What is printed to standard error is
//! the function's log.
use std::collections::HashMap;
use std::io::Read;

/// The text of the member `data`, when it is a string.
fn data(event: &str) -> Option<String> {
    let rest = event.split_once("\"data\":")?.1.trim_start().strip_prefix('"')?;
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                'n' | 'r' | 't' => text.push(' '),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}

fn main() {
    let mut input = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut input) {
        fail(&format!("the input is no text: {error}"));
    }
    if std::env::var("CE_TYPE").is_err() {
        println!("Status: 400\n\nthis function takes events");
        return;
    }
    let text = data(&input).unwrap_or_else(|| fail("the event has no text as its data"));
    let mut words: HashMap<String, u32> = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut rows: Vec<_> = words.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let rows: Vec<String> = rows.iter().map(|(word, n)| format!("\"{word}\":{n}")).collect();
    println!("ce-type: words.counted\nContent-Type: application/json\n\n{{{}}}", rows.join(","));
}
