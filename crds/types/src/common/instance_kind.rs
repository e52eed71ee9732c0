//! The shape of every instance kind: written once, so that a field means the same in all of them.

/// Declares an instance kind: the fields that all have, and those of its own in `fields`.
///
/// `rules` are validation rules of its own, `shrink` names what is said of versions and sizes in the field texts.
macro_rules! instance_kind {
    (
        kind: $kind:ident, spec: $spec:ident, name: $name:literal, plural: $plural:literal, shortname: $short:literal,
        about: $about:literal,
        engine: $engine:ty, version: $version:literal, resources: $resources:literal, external: $external:literal,
        rules: [$($rule:expr),* $(,)?],
        fields: { $($(#[$meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        #[doc = concat!("What a `", $name, "` should be.")]
        #[derive(
            kube::CustomResource, kube::KubeSchema, Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize,
        )]
        #[kube(
            group = "portico.dev",
            version = "v1alpha1",
            kind = $name,
            plural = $plural,
            shortname = $short,
            category = "portico",
            namespaced,
            doc = $about,
            status = "crate::common::InstanceStatus",
            derive = "PartialEq",
            label("servicebinding.io/provisioned-service", "true"),
            printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
            printcolumn(name = "Backend", type_ = "string", json_path = ".status.backend"),
            printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
            printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
            printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
            printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
            validation = $crate::common::rules::name_length($name),
            validation = $crate::common::rules::name_letters()
        )]
        #[x_kube(
            validation = $crate::common::rules::external_is_described(),
            validation = $crate::common::rules::external_is_not_shaped(),
            validation = $crate::common::rules::backend_stays(),
            validation = $crate::common::rules::storage_class_stays(),
            validation = $crate::common::rules::storage_grows()
            $(, validation = $rule)*
        )]
        #[serde(rename_all = "camelCase")]
        pub struct $spec {
            /// The engine. It cannot be changed.
            #[x_kube(validation = $crate::common::rules::engine_stays())]
            pub engine: $engine,
            /// Who runs the engine. It cannot be changed. Default: Auto.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub backend: Option<$crate::common::Backend>,
            #[doc = $version]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+)*$"))]
            pub version: Option<String>,
            /// Image with the programs of the engine. Default: the one that the operator was installed with.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
            pub image: Option<String>,
            /// Where the data lies. Default: 1Gi of the cluster's default storage class.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[x_kube(merge_strategy = MapMerge::Atomic)]
            pub storage: Option<$crate::common::Storage>,
            #[doc = $resources]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[x_kube(merge_strategy = MapMerge::Atomic)]
            pub resources: Option<$crate::common::ResourceRequirements>,
            /// Settings of the engine by their own names, from a list of safe ones; a name that is not in it is refused
            /// with the list in the condition. Default: none.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "crate::common::instance::parameters_schema")]
            pub parameters: Option<std::collections::BTreeMap<String, String>>,
            /// Number of pods that hold a copy for reading. They are behind a Service of their own, named in
            /// status.readEndpoint. Default: 0.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0, max = 5))]
            pub read_replicas: Option<i32>,
            /// Who signs the engine's certificate. Default: a CA that the operator keeps in the namespace.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[x_kube(merge_strategy = MapMerge::Atomic)]
            pub tls: Option<$crate::common::Tls>,
            /// When the credentials of the instance's own binding are replaced. Default: only on demand.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[x_kube(merge_strategy = MapMerge::Atomic)]
            pub rotation: Option<$crate::common::Rotation>,
            #[doc = $external]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[x_kube(merge_strategy = MapMerge::Atomic)]
            pub external: Option<$crate::common::ExternalBackend>,
            /// What happens to data and credentials when the resource is deleted. Default: Retain.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub deletion_policy: Option<$crate::common::DeletionPolicy>,
            $($(#[$meta])* pub $field: $type,)*
        }

        $crate::common::resource::portico_resource!(kind $kind => $crate::common::InstanceStatus);

        impl $spec {
            /// A builtin instance of `engine` with every other field left out.
            pub fn new(engine: $engine) -> Self {
                Self {
                    engine,
                    backend: None,
                    version: None,
                    image: None,
                    storage: None,
                    resources: None,
                    parameters: None,
                    read_replicas: None,
                    tls: None,
                    rotation: None,
                    external: None,
                    deletion_policy: None,
                    $($field: Default::default(),)*
                }
            }
        }
    };
}
pub(crate) use instance_kind;
