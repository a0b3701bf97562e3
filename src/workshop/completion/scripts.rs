//! The scripts of the three shells: each asks rrun, and falls back to file names where rrun has nothing to say.
//!
//! They contain no word of rrun's own beside its name, so they never grow old.

const BASH: &str = r#"_@() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _@ @
"#;

const ZSH: &str = r#"#compdef @
_@() {
    local -a found
    found=("${(@f)$("${words[1]}" completion words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _@ @
"#;

const FISH: &str = r#"function __@_words
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] completion words $words[2..-1] 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c @ -f -a '(__@_words)'
"#;

/// The script for a shell, for a program of this name.
pub fn script(shell: &str, name: &str) -> String {
    match shell {
        "bash" => BASH,
        "zsh" => ZSH,
        _ => FISH,
    }
    .replace('@', name)
    // The array expansions of the shells are written with the same sign.
    .replace(&format!("[{name}]"), "[@]")
    .replace(&format!("({name}"), "(@")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_put_in_and_arrays_are_left_alone() {
        assert!(
            script("bash", "rrun").contains("${COMP_WORDS[@]:1:COMP_CWORD}") && script("bash", "rrun").contains("_rrun rrun\n")
        );
        assert!(script("zsh", "runc").contains("${(@f)$(") && script("zsh", "runc").starts_with("#compdef runc\n_runc()"));
        assert!(script("fish", "rrun").ends_with("complete -c rrun -f -a '(__rrun_words)'\n"));
    }
}
