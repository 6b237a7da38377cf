//! What the user typed after `secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What holds for every one of them.
const ENVIRONMENT: &str = "\
Environment variables:
  ANDON_AGE_IDENTITY       An age identity, or the path of a file with age identities or an SSH key
  ANDON_AGE_IDENTITY_FILE  The path of such a file; ~/.config/andon/identity without either
  ANDON_SECRET_NAME        The secret NAME, in the place of a file: `db/password` is ANDON_SECRET_DB_PASSWORD

Files of the project:
  secrets/NAME.age    One secret, as `age --encrypt` writes it
  secrets.age         Many secrets: lines NAME=value, or a JSON object
  secrets/recipients  Whom they are sealed for: a line each, `age1…` or `ssh-ed25519 …`";

#[derive(Debug, Clone, Args)]
#[command(after_help = ENVIRONMENT)]
pub struct SecretArguments {
    /// What is done
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// Seal a secret: a line that is asked for, or all of standard input
    Set(SetArguments),
    /// Print a secret to standard output, as a role would be given it
    Get(GetArguments),
    /// List the names of the secrets
    List,
    /// Edit a secret in $EDITOR, or without a name the file with many
    Edit(EditArguments),
    /// Seal every secret anew, for whom secrets/recipients names now
    Rekey,
    /// Make an identity, and print the recipient that others seal for
    Keygen(KeygenArguments),
}

#[derive(Debug, Clone, Args)]
pub struct SetArguments {
    /// The secret: letters, digits and `-_./@+`
    pub name: String,
    /// Take it from FILE
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct GetArguments {
    /// The secret
    pub name: String,
}

#[derive(Debug, Clone, Args)]
pub struct EditArguments {
    /// The secret
    pub name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct KeygenArguments {
    /// Where it is kept; ~/.config/andon/identity without it
    pub file: Option<PathBuf>,
}
