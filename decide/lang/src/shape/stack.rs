//! The blocks of the Terraform language
//! (<https://developer.hashicorp.com/terraform/language>): what `*.tf` files hold.

use andon_hcl::json::Strings;

use super::{ANYTHING, Argument, Reading, Shape, any, at_most_once, closed, open, optional, required};

const COUNT: Argument = optional("count", "How many there are, a whole number.");
const FOR_EACH: Argument = optional("for_each", "One for each element of a map or of a set of strings.");
const DEPENDS_ON: Argument =
    optional("depends_on", "What must be done first, though no argument refers to it.").expression();
const PROVIDER_OF: Argument =
    optional("provider", "The provider configuration to use, as NAME or NAME.ALIAS; by the type's name without it.")
        .expression();

pub(crate) static CONDITION: Shape = closed(
    &[
        required("condition", "What must be true."),
        required("error_message", "What to say where it is not, as a sentence."),
    ],
    &[],
);

static LOCALS: Shape = Shape { others: Reading::Strings(Strings::Template), ..open(&[], &[]) };

/// What is read without being evaluated.
static WRITTEN_OUT: Shape = Shape { others: Reading::Strings(Strings::Text), ..open(&[], &[]) };

static REQUIRED_PROVIDER: Shape = closed(
    &[
        optional("source", "Where the provider comes from: NAMESPACE/NAME, or HOST/NAMESPACE/NAME.").text(),
        optional("version", "The versions that the module works with.").text(),
        optional("configuration_aliases", "Configurations that whoever calls the module must pass.").expression(),
    ],
    &[],
);

static REQUIRED_PROVIDERS: Shape = Shape { others: Reading::Fields(&REQUIRED_PROVIDER), ..open(&[], &[]) };

/// The meta-block `dynamic`, as JSON writes it.
pub(super) static DYNAMIC: Shape = closed(
    &[
        required("for_each", "What there is a block for each element of."),
        optional("iterator", "What the element is called; by the kind of block without it.").expression(),
        optional("labels", "The labels of each block."),
    ],
    &[any("content", &[], &ANYTHING, "What is in each block.")],
);

static WORKSPACES: Shape = closed(
    &[
        optional("name", "The one workspace to use.").text(),
        optional("tags", "Only the workspaces with these tags.").text(),
        optional("project", "The project that the workspaces are in.").text(),
    ],
    &[],
);

static CLOUD: Shape = closed(
    &[
        optional("organization", "The organisation that the workspaces belong to.").text(),
        optional("hostname", "The host to connect to.").text(),
        optional("token", "The token to sign in with; better kept out of the files.").text(),
    ],
    &[at_most_once("workspaces", &[], &WORKSPACES, "Which workspaces the stack uses.")],
);

static TERRAFORM: Shape = closed(
    &[
        optional("required_version", "The versions of the language that the module works with.").text(),
        optional("experiments", "Unfinished parts of the language to switch on.").expression(),
        optional("language", "The edition of the language; there is one, TF2021.").expression(),
    ],
    &[
        any(
            "required_providers",
            &[],
            &REQUIRED_PROVIDERS,
            "The providers that the module uses: their sources and versions.",
        ),
        any("provider_meta", &["provider"], &ANYTHING, "What the module tells a provider about itself."),
        any("backend", &["type"], &WRITTEN_OUT, "Where Terraform keeps the stack's state."),
        any("cloud", &[], &CLOUD, "The HCP Terraform workspaces that hold the stack's state."),
    ],
);

/// The meta-arguments of a `provider` block.
pub(crate) static PROVIDER: Shape = open(
    &[
        optional("alias", "A second name, where a provider has several configurations.").text(),
        optional("version", "The versions to use; superseded by `required_providers`.").text(),
        optional("for_each", "One configuration for each element of a map or of a set of strings."),
    ],
    &[],
);

/// A provider that is built in takes no settings.
pub(crate) static BUILT_IN_PROVIDER: Shape = closed(
    &[optional("alias", "A second name.").text(), optional("version", "Superseded by `required_providers`.").text()],
    &[],
);

const PRECONDITION: &str = "What must be true before it is planned or read.";
const POSTCONDITION: &str = "What must be true of it afterwards; `self` is the object.";

static LIFECYCLE: Shape = closed(
    &[
        optional("create_before_destroy", "Make the replacement before the old object is deleted.").text(),
        optional("prevent_destroy", "Refuse every plan that would delete the object.").text(),
        optional("ignore_changes", "Arguments whose differences are left alone, or `all`.").expression(),
        optional("replace_triggered_by", "What makes a replacement necessary when it changes.").expression(),
    ],
    &[any("precondition", &[], &CONDITION, PRECONDITION), any("postcondition", &[], &CONDITION, POSTCONDITION)],
);

static READ_LIFECYCLE: Shape = closed(
    &[],
    &[any("precondition", &[], &CONDITION, PRECONDITION), any("postcondition", &[], &CONDITION, POSTCONDITION)],
);

/// How a provisioner reaches a server.
pub(crate) static CONNECTION: Shape = open(
    &[
        optional("type", "`ssh` or `winrm`."),
        optional("host", "The address to connect to."),
        optional("port", "The port to connect to."),
        optional("user", "The user to sign in as."),
        optional("password", "The password to sign in with."),
        optional("private_key", "The content of the SSH key to sign in with."),
        optional("timeout", "How long to wait for the connection, such as `5m`."),
    ],
    &[],
);

const CONNECTION_FOR: &str = "How provisioners reach the server.";

/// The meta-arguments of a `provisioner` block.
pub(crate) static PROVISIONER: Shape = open(
    &[
        optional("when", "`create` or `destroy`: after the object is made, or before it is deleted.").expression(),
        optional("on_failure", "`fail` or `continue`: what becomes of the apply where it fails.").expression(),
    ],
    &[at_most_once("connection", &[], &CONNECTION, CONNECTION_FOR)],
);

const ESCAPE: &str = "Arguments of the type whose names the language has taken for itself.";
const LIFECYCLE_FOR: &str = "How the object is made, replaced and deleted, and what must be true of it.";
const PROVISIONER_FOR: &str = "What to run once the object is made, or before it is deleted.";

/// The meta-arguments of a `resource` block.
pub(crate) static RESOURCE: Shape = open(
    &[COUNT, FOR_EACH, DEPENDS_ON, PROVIDER_OF],
    &[
        at_most_once("lifecycle", &[], &LIFECYCLE, LIFECYCLE_FOR),
        any("provisioner", &["type"], &PROVISIONER, PROVISIONER_FOR),
        at_most_once("connection", &[], &CONNECTION, CONNECTION_FOR),
        at_most_once("_", &[], &ANYTHING, ESCAPE),
    ],
);

const READ_LIFECYCLE_FOR: &str = "What must be true of it.";

/// The meta-arguments of a `data` block.
pub(crate) static DATA: Shape = open(
    &[COUNT, FOR_EACH, DEPENDS_ON, PROVIDER_OF],
    &[at_most_once("lifecycle", &[], &READ_LIFECYCLE, READ_LIFECYCLE_FOR), at_most_once("_", &[], &ANYTHING, ESCAPE)],
);

/// The meta-arguments of an `ephemeral` block.
pub(crate) static EPHEMERAL: Shape = open(
    &[COUNT, FOR_EACH, DEPENDS_ON, PROVIDER_OF],
    &[at_most_once("lifecycle", &[], &READ_LIFECYCLE, READ_LIFECYCLE_FOR), at_most_once("_", &[], &ANYTHING, ESCAPE)],
);

/// The meta-arguments of a `module` block.
pub(crate) static MODULE: Shape = open(
    &[
        required("source", "Where the module is: a directory, a registry address, a repository or an archive.").text(),
        optional("version", "The versions to use, of a module from a registry.").text(),
        COUNT,
        FOR_EACH,
        DEPENDS_ON,
        optional("providers", "The provider configurations that the module uses, by the names it gives them.")
            .expression(),
    ],
    &[at_most_once("_", &[], &ANYTHING, "Variables of the module whose names the language has taken for itself.")],
);

pub(crate) static VARIABLE: Shape = closed(
    &[
        optional("type", "The type that a given value is converted to.").expression(),
        optional("default", "The value where none is given; without it one must be.").text(),
        optional("description", "What it is for.").text(),
        optional("nullable", "Whether null may be given; true without it.").text(),
        optional("sensitive", "Whether its value is a secret.").text(),
        optional("ephemeral", "Whether its value may be used only while a run lasts, and is never stored.").text(),
    ],
    &[any("validation", &[], &CONDITION, "What must be true of a given value.")],
);

static OUTPUT: Shape = closed(
    &[
        required("value", "The value."),
        optional("description", "What it is.").text(),
        optional("sensitive", "Whether its value is a secret.").text(),
        optional("ephemeral", "Whether its value may be used only while a run lasts, and is never stored.").text(),
        DEPENDS_ON,
    ],
    &[any("precondition", &[], &CONDITION, "What must be true before the value is given out.")],
);

static MOVED: Shape = closed(
    &[
        required("from", "The address that it had.").expression(),
        required("to", "The address that it has now.").expression(),
    ],
    &[],
);

static REMOVED_LIFECYCLE: Shape =
    closed(&[optional("destroy", "Whether the object is deleted, or only forgotten; true without it.").text()], &[]);

static REMOVED: Shape = closed(
    &[required("from", "The address of what is no longer defined.").expression()],
    &[
        at_most_once("lifecycle", &[], &REMOVED_LIFECYCLE, "What becomes of the object."),
        any("provisioner", &["type"], &PROVISIONER, "What to run before the object is deleted."),
        at_most_once("connection", &[], &CONNECTION, CONNECTION_FOR),
    ],
);

static IMPORT: Shape = closed(
    &[
        required("to", "The address of the resource that takes the object over.").expression(),
        optional("id", "The object's id, in the provider's words."),
        optional("identity", "The object's identity, as an object of the provider's attributes."),
        PROVIDER_OF,
        optional("for_each", "One import for each element of a map or of a set of strings."),
    ],
    &[],
);

static STACK_CHECK: Shape = closed(
    &[],
    &[
        at_most_once("data", &["type", "name"], &DATA, "A data source that only this check reads."),
        any("assert", &[], &CONDITION, "What should be true; where it is not, a warning is given."),
    ],
);

/// A `*.tf` file.
pub(crate) static STACK_FILE: Shape = closed(
    &[],
    &[
        any("terraform", &[], &TERRAFORM, "Settings of the module: versions, providers and where state is kept."),
        any("provider", &["name"], &PROVIDER, "A configuration of a provider."),
        any("resource", &["type", "name"], &RESOURCE, "An object that is made, kept and deleted."),
        any("data", &["type", "name"], &DATA, "An object that is only read."),
        any("ephemeral", &["type", "name"], &EPHEMERAL, "Something that is opened while a run needs it."),
        any("variable", &["name"], &VARIABLE, "A value that is given to the module."),
        any("locals", &[], &LOCALS, "Names for expressions of the module."),
        any("output", &["name"], &OUTPUT, "A value that the module gives out."),
        any("module", &["name"], &MODULE, "A call of another module."),
        any("moved", &[], &MOVED, "Says that something has a new address."),
        any("import", &[], &IMPORT, "Takes over an object that exists already."),
        any("removed", &[], &REMOVED, "Says that something is no longer defined, and what becomes of it."),
        any("check", &["name"], &STACK_CHECK, "Assertions that warn where they do not hold."),
    ],
);

/// A `*.tfvars` file: values by name.
pub(crate) static VALUES_FILE: Shape = Shape { others: Reading::Strings(Strings::Text), ..open(&[], &[]) };
