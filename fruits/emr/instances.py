"""The nodes that a cluster is asked for: groups in one subnet, or fleets in whichever of several has room."""

from typing import Any

from fruits.emr.settings import EmrSettings

_SPOT_MINUTES = 10
"""How long Spot nodes are waited for before others, on demand, take their place."""


def instances(emr: EmrSettings, *, standing: bool) -> dict[str, Any]:
    """The request's Instances: nodes, network, and whether the cluster outlives its steps."""
    found: dict[str, Any] = {
        **(_fleets(emr) if emr.fleets else _groups(emr)),
        "EmrManagedMasterSecurityGroup": emr.security_group,
        "EmrManagedSlaveSecurityGroup": emr.security_group,
        "KeepJobFlowAliveWhenNoSteps": standing,
        "TerminationProtected": False,
    }
    if emr.service_access_security_group:  # EMR takes it for private subnets alone, and demands it there
        found["ServiceAccessSecurityGroup"] = emr.service_access_security_group
    return found


def limits(emr: EmrSettings) -> dict[str, Any]:
    """Managed scaling's limits: core nodes hold shuffled data and are on demand, and those beyond them are on Spot."""
    assert emr.max_core_nodes is not None
    return {
        "UnitType": "InstanceFleetUnits" if emr.fleets else "Instances",
        "MinimumCapacityUnits": emr.core_nodes,
        "MaximumCapacityUnits": emr.max_core_nodes + emr.task_nodes,
        "MaximumCoreCapacityUnits": emr.max_core_nodes,
        "MaximumOnDemandCapacityUnits": emr.max_core_nodes,
    }


def _groups(emr: EmrSettings) -> dict[str, Any]:
    groups = [_group("primary", "MASTER", emr.primary, 1), _group("core", "CORE", emr.core, emr.core_nodes)]
    if emr.task_nodes:
        groups.append({**_group("task", "TASK", emr.task_type, emr.task_nodes), "Market": "SPOT"})
    return {"InstanceGroups": groups, "Ec2SubnetId": emr.subnet}


def _group(name: str, role: str, instance: str, count: int) -> dict[str, Any]:
    return {
        "Name": name,
        "InstanceRole": role,
        "InstanceType": instance,
        "InstanceCount": count,
        "Market": "ON_DEMAND",
    }


def _fleets(emr: EmrSettings) -> dict[str, Any]:
    fleets = [
        _fleet("primary", "MASTER", [emr.primary], on_demand=1),
        _fleet("core", "CORE", [emr.core, *emr.more_types], on_demand=emr.core_nodes),
    ]
    if emr.task_nodes:
        fleets.append(_fleet("task", "TASK", [emr.task_type, *emr.more_types], spot=emr.task_nodes))
    return {"InstanceFleets": fleets, "Ec2SubnetIds": emr.subnets or [emr.subnet]}


def _fleet(name: str, kind: str, types: list[str], *, on_demand: int = 0, spot: int = 0) -> dict[str, Any]:
    """A fleet whose capacity is counted in nodes; its types have as many processors, and come in this order."""
    configs = [
        {"InstanceType": one, "WeightedCapacity": 1, "Priority": float(place)}
        for place, one in enumerate(dict.fromkeys(types))
    ]
    if spot:
        specification = {
            "SpotSpecification": {
                "TimeoutDurationMinutes": _SPOT_MINUTES,
                "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                "AllocationStrategy": "price-capacity-optimized",
            }
        }
    else:
        specification = {"OnDemandSpecification": {"AllocationStrategy": "prioritized"}}
    return {
        "Name": name,
        "InstanceFleetType": kind,
        "TargetOnDemandCapacity": on_demand,
        "TargetSpotCapacity": spot,
        "InstanceTypeConfigs": configs,
        "LaunchSpecifications": specification,
    }
