//! The volume claim of a builtin engine.
//!
//! The operator makes the claim itself instead of leaving it to a template of the `StatefulSet`: templates cannot be
//! changed, so a volume could not grow, and whether the claim has an owner is the whole of the deletion policy. The
//! claim has the name that a template called `data` would give it.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use kube::core::ObjectMeta;
use portico_crds::common::instance::DEFAULT_STORAGE_SIZE;
use portico_crds::common::quantities::{InvalidQuantity, Quantity};
use portico_crds::common::{Storage, labels::Identity};

/// The claim that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Bytes, as a quantity.
    pub size: String,
    /// The storage class; `None` is the cluster's default.
    pub class: Option<String>,
    /// What the claim asks for that is there already.
    pub live: Option<String>,
}

impl Claim {
    /// What is asked for, reconciled with what is there: a claim that was retained from an earlier resource keeps its
    /// class and never shrinks.
    ///
    /// # Errors
    /// [`InvalidQuantity`] when the size is none, which the API server refuses.
    pub fn plan(storage: Option<&Storage>, live: Option<&PersistentVolumeClaim>) -> Result<Self, InvalidQuantity> {
        let asked = storage.and_then(|storage| storage.size.as_deref()).unwrap_or(DEFAULT_STORAGE_SIZE);
        let asked = Quantity::parse(asked)?;
        let class = storage.and_then(|storage| storage.storage_class_name.clone());
        let Some(live) = live.and_then(|claim| claim.spec.as_ref()) else {
            return Ok(Self { size: asked.as_str().to_owned(), class, live: None });
        };
        let there = live.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
        let there = there.and_then(|size| Quantity::parse(&size.0).ok());
        let requested = Some(there.as_ref().unwrap_or(&asked).as_str().to_owned());
        let size = there.filter(|there| *there >= asked).unwrap_or(asked);
        // A class that the cluster filled in is left to the cluster.
        let class = class.and_then(|_| live.storage_class_name.clone());
        Ok(Self { size: size.as_str().to_owned(), class, live: requested })
    }

    /// Whether it is there already.
    pub fn exists(&self) -> bool {
        self.live.is_some()
    }

    /// The same claim without growth; `None` when it does not grow.
    pub fn as_it_is(&self) -> Option<Self> {
        let live = self.live.clone().filter(|live| *live != self.size)?;
        Some(Self { size: live, ..self.clone() })
    }

    /// The object.
    pub fn object(&self, name: String, identity: Identity<'_>) -> PersistentVolumeClaim {
        let size = [("storage".to_owned(), ApiQuantity(self.size.clone()))].into();
        PersistentVolumeClaim {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
                storage_class_name: self.class.clone(),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(size: &str, class: Option<&str>) -> Storage {
        Storage { size: Some(size.to_owned()), storage_class_name: class.map(str::to_owned) }
    }

    fn live(size: &str, class: &str) -> PersistentVolumeClaim {
        let claim = Claim { size: size.to_owned(), class: Some(class.to_owned()), live: None };
        claim.object("n".into(), Identity { program: "p", instance: "i", component: "c", kind: "K" })
    }

    #[test]
    fn a_claim_grows_and_never_shrinks() {
        let size =
            |asked: &str, there: &str| Claim::plan(Some(&storage(asked, None)), Some(&live(there, "s"))).unwrap().size;
        assert_eq!(size("2Gi", "1Gi"), "2Gi");
        assert_eq!(size("1Gi", "2Gi"), "2Gi");
        assert_eq!(size("1024Mi", "1Gi"), "1Gi", "equal sizes keep the way they were written");
    }

    #[test]
    fn a_claim_that_cannot_grow_can_stay_as_it_is() {
        let grows = |asked| Claim::plan(Some(&storage(asked, None)), Some(&live("1Gi", "s"))).unwrap();
        assert_eq!(grows("2Gi").as_it_is().unwrap().size, "1Gi");
        assert_eq!(grows("1Gi").as_it_is(), None);
        assert_eq!(Claim::plan(None, None).unwrap().as_it_is(), None);
    }

    #[test]
    fn a_retained_claim_keeps_its_class() {
        let slow = live("1Gi", "slow");
        let class = |asked, there| Claim::plan(Some(&storage("1Gi", asked)), there).unwrap().class;
        assert_eq!(class(Some("fast"), None).as_deref(), Some("fast"));
        assert_eq!(class(Some("fast"), Some(&slow)).as_deref(), Some("slow"));
        assert_eq!(class(None, Some(&slow)), None);
    }

    #[test]
    fn the_default_is_one_gibibyte() {
        assert_eq!(Claim::plan(None, None).unwrap().size, "1Gi");
        assert!(Claim::plan(Some(&storage("much", None)), None).is_err());
    }
}
