//! Liveness probes in the place of readiness probes: they restart what should only get no traffic for a while.

use super::{Place, each, fleet};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "lb.liveness-as-readiness",
    title: Text {
        en: "Liveness probes that do a readiness probe's work", zh: "被当作就绪探针使用的存活探针"
    },
    reads: &["Kubernetes manifests: livenessProbe and readinessProbe of containers behind a Service"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Under load, or while something it needs is away, the container is restarted and all its requests are lost, where it should only get no new ones for a while.",
        zh: "高负载或依赖暂时不可用时，容器会被重启并丢失全部请求，而它本应只是暂停接收新请求。",
    },
    remedy: Text {
        en: "Give the container a readinessProbe on what it needs to serve, and a livenessProbe that is simpler or fails much later (a higher failureThreshold).",
        zh: "为容器配置检查其服务能力的 readinessProbe，并让 livenessProbe 更简单，或明显更晚失败（提高 failureThreshold）。",
    },
    run,
};

/// A container's liveness probe, compared with its readiness probe.
#[derive(Debug, Clone)]
pub(crate) struct Liveness {
    /// The member's subject.
    pub(crate) subject: String,
    pub(crate) place: Place,
    pub(crate) beside: Beside,
}

/// What there is beside a liveness probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// No readiness probe, though a Service sends traffic.
    Nothing,
    /// A readiness probe that asks the same and does not fail earlier.
    TheSame,
    /// One that asks something else, or fails earlier.
    Another,
}

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let fleet = fleet(host)?;
    let found = fleet.liveness.iter().map(|Liveness { subject, place, beside }| {
        let found = match beside {
            Beside::Nothing => Found::advice(
                subject,
                words!(
                    "it has a livenessProbe but no readinessProbe, and a Service sends it traffic",
                    "有 livenessProbe 而无 readinessProbe，且 Service 会向其转发流量"
                ),
            ),
            Beside::TheSame => Found::advice(
                subject,
                words!(
                    "its livenessProbe asks the same as its readinessProbe and fails as early",
                    "livenessProbe 与 readinessProbe 检查内容相同，且同样早失败"
                ),
            ),
            Beside::Another => Found::new(
                subject,
                Status::Ok,
                words!("livenessProbe and readinessProbe differ", "livenessProbe 与 readinessProbe 有所区别"),
            ),
        };
        found.evidence(place.source(), &place.text)
    });
    each::told(fleet, found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn pod(probes: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  selector: {{app: web}}\n  ports: [{{port: 80}}]\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: web, labels: {{app: web}}}}\nspec:\n  containers:\n  - name: web\n    \
             ports: [{{containerPort: 80}}]\n{probes}"
        )
    }

    #[test]
    fn lb_liveness_in_the_place_of_readiness_is_advice() {
        let live = "    livenessProbe: {httpGet: {path: /h, port: 80}, periodSeconds: 10}\n";
        for (name, probes, note, count) in [
            ("alone", live.to_owned(), true, 1),
            ("the same", format!("{live}    readinessProbe: {{httpGet: {{path: /h, port: 80}}}}\n"), true, 1),
            ("another path", format!("{live}    readinessProbe: {{httpGet: {{path: /ready, port: 80}}}}\n"), false, 1),
            (
                "the same, but restarts later",
                format!("{live}    readinessProbe: {{httpGet: {{path: /h, port: 80}}, periodSeconds: 2}}\n"),
                false,
                1,
            ),
            ("none", String::new(), false, 0),
        ] {
            let fixture = Fixture::image().file("/etc/kubernetes/manifests/web.yaml", pod(&probes));
            let findings = fixture.run(&CHECK);
            assert_eq!(findings.len(), count, "{name}: {findings:?}");
            for one in findings {
                assert_eq!((one.status, one.note), (Status::Ok, note), "{name}");
                assert_eq!(one.subject, "kubernetes workload default/pod/web/web");
            }
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
