// Generated from proto/podresources.v1.proto by scripts/generate-proto.mjs; change that file and run npm run generate.
import * as $protobuf from "protobufjs/minimal.js";

/** Namespace v1. */
export namespace v1 {

    /**
     * Properties of a ListPodResourcesRequest.
     * @deprecated Use v1.ListPodResourcesRequest.$Properties instead.
     */
    interface IListPodResourcesRequest extends v1.ListPodResourcesRequest.$Properties {
    }

    /** Represents a ListPodResourcesRequest. */
    class ListPodResourcesRequest {

        /**
         * Constructs a new ListPodResourcesRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ListPodResourcesRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Encodes the specified ListPodResourcesRequest message. Does not implicitly {@link v1.ListPodResourcesRequest.verify|verify} messages.
         * @param message ListPodResourcesRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ListPodResourcesRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ListPodResourcesRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ListPodResourcesRequest & v1.ListPodResourcesRequest.$Shape} ListPodResourcesRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ListPodResourcesRequest & v1.ListPodResourcesRequest.$Shape;
    }

    namespace ListPodResourcesRequest {

        /** Properties of a ListPodResourcesRequest. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ListPodResourcesRequest. */
        type $Shape = v1.ListPodResourcesRequest.$Properties;
    }

    /**
     * Properties of a ListPodResourcesResponse.
     * @deprecated Use v1.ListPodResourcesResponse.$Properties instead.
     */
    interface IListPodResourcesResponse extends v1.ListPodResourcesResponse.$Properties {
    }

    /** Represents a ListPodResourcesResponse. */
    class ListPodResourcesResponse {

        /**
         * Constructs a new ListPodResourcesResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ListPodResourcesResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ListPodResourcesResponse podResources. */
        podResources: v1.PodResources.$Properties[];

        /**
         * Encodes the specified ListPodResourcesResponse message. Does not implicitly {@link v1.ListPodResourcesResponse.verify|verify} messages.
         * @param message ListPodResourcesResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ListPodResourcesResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ListPodResourcesResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ListPodResourcesResponse & v1.ListPodResourcesResponse.$Shape} ListPodResourcesResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ListPodResourcesResponse & v1.ListPodResourcesResponse.$Shape;
    }

    namespace ListPodResourcesResponse {

        /** Properties of a ListPodResourcesResponse. */
        interface $Properties {

            /** ListPodResourcesResponse podResources */
            podResources?: (v1.PodResources.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ListPodResourcesResponse. */
        type $Shape = v1.ListPodResourcesResponse.$Properties;
    }

    /**
     * Properties of an AllocatableResourcesRequest.
     * @deprecated Use v1.AllocatableResourcesRequest.$Properties instead.
     */
    interface IAllocatableResourcesRequest extends v1.AllocatableResourcesRequest.$Properties {
    }

    /** Represents an AllocatableResourcesRequest. */
    class AllocatableResourcesRequest {

        /**
         * Constructs a new AllocatableResourcesRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.AllocatableResourcesRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Encodes the specified AllocatableResourcesRequest message. Does not implicitly {@link v1.AllocatableResourcesRequest.verify|verify} messages.
         * @param message AllocatableResourcesRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.AllocatableResourcesRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AllocatableResourcesRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.AllocatableResourcesRequest & v1.AllocatableResourcesRequest.$Shape} AllocatableResourcesRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.AllocatableResourcesRequest & v1.AllocatableResourcesRequest.$Shape;
    }

    namespace AllocatableResourcesRequest {

        /** Properties of an AllocatableResourcesRequest. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AllocatableResourcesRequest. */
        type $Shape = v1.AllocatableResourcesRequest.$Properties;
    }

    /**
     * Properties of an AllocatableResourcesResponse.
     * @deprecated Use v1.AllocatableResourcesResponse.$Properties instead.
     */
    interface IAllocatableResourcesResponse extends v1.AllocatableResourcesResponse.$Properties {
    }

    /** Represents an AllocatableResourcesResponse. */
    class AllocatableResourcesResponse {

        /**
         * Constructs a new AllocatableResourcesResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.AllocatableResourcesResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** AllocatableResourcesResponse devices. */
        devices: v1.ContainerDevices.$Properties[];

        /** AllocatableResourcesResponse cpuIds. */
        cpuIds: number[];

        /** AllocatableResourcesResponse memory. */
        memory: v1.ContainerMemory.$Properties[];

        /**
         * Encodes the specified AllocatableResourcesResponse message. Does not implicitly {@link v1.AllocatableResourcesResponse.verify|verify} messages.
         * @param message AllocatableResourcesResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.AllocatableResourcesResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AllocatableResourcesResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.AllocatableResourcesResponse & v1.AllocatableResourcesResponse.$Shape} AllocatableResourcesResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.AllocatableResourcesResponse & v1.AllocatableResourcesResponse.$Shape;
    }

    namespace AllocatableResourcesResponse {

        /** Properties of an AllocatableResourcesResponse. */
        interface $Properties {

            /** AllocatableResourcesResponse devices */
            devices?: (v1.ContainerDevices.$Properties[]|null);

            /** AllocatableResourcesResponse cpuIds */
            cpuIds?: (number[]|null);

            /** AllocatableResourcesResponse memory */
            memory?: (v1.ContainerMemory.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AllocatableResourcesResponse. */
        type $Shape = v1.AllocatableResourcesResponse.$Properties;
    }

    /**
     * Properties of a GetPodResourcesRequest.
     * @deprecated Use v1.GetPodResourcesRequest.$Properties instead.
     */
    interface IGetPodResourcesRequest extends v1.GetPodResourcesRequest.$Properties {
    }

    /** Represents a GetPodResourcesRequest. */
    class GetPodResourcesRequest {

        /**
         * Constructs a new GetPodResourcesRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.GetPodResourcesRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** GetPodResourcesRequest podName. */
        podName: string;

        /** GetPodResourcesRequest podNamespace. */
        podNamespace: string;

        /**
         * Encodes the specified GetPodResourcesRequest message. Does not implicitly {@link v1.GetPodResourcesRequest.verify|verify} messages.
         * @param message GetPodResourcesRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.GetPodResourcesRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a GetPodResourcesRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.GetPodResourcesRequest & v1.GetPodResourcesRequest.$Shape} GetPodResourcesRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.GetPodResourcesRequest & v1.GetPodResourcesRequest.$Shape;
    }

    namespace GetPodResourcesRequest {

        /** Properties of a GetPodResourcesRequest. */
        interface $Properties {

            /** GetPodResourcesRequest podName */
            podName?: (string|null);

            /** GetPodResourcesRequest podNamespace */
            podNamespace?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a GetPodResourcesRequest. */
        type $Shape = v1.GetPodResourcesRequest.$Properties;
    }

    /**
     * Properties of a GetPodResourcesResponse.
     * @deprecated Use v1.GetPodResourcesResponse.$Properties instead.
     */
    interface IGetPodResourcesResponse extends v1.GetPodResourcesResponse.$Properties {
    }

    /** Represents a GetPodResourcesResponse. */
    class GetPodResourcesResponse {

        /**
         * Constructs a new GetPodResourcesResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.GetPodResourcesResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** GetPodResourcesResponse podResources. */
        podResources?: (v1.PodResources.$Properties|null);

        /**
         * Encodes the specified GetPodResourcesResponse message. Does not implicitly {@link v1.GetPodResourcesResponse.verify|verify} messages.
         * @param message GetPodResourcesResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.GetPodResourcesResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a GetPodResourcesResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.GetPodResourcesResponse & v1.GetPodResourcesResponse.$Shape} GetPodResourcesResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.GetPodResourcesResponse & v1.GetPodResourcesResponse.$Shape;
    }

    namespace GetPodResourcesResponse {

        /** Properties of a GetPodResourcesResponse. */
        interface $Properties {

            /** GetPodResourcesResponse podResources */
            podResources?: (v1.PodResources.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a GetPodResourcesResponse. */
        type $Shape = v1.GetPodResourcesResponse.$Properties;
    }

    /**
     * Properties of a PodResources.
     * @deprecated Use v1.PodResources.$Properties instead.
     */
    interface IPodResources extends v1.PodResources.$Properties {
    }

    /** Represents a PodResources. */
    class PodResources {

        /**
         * Constructs a new PodResources.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.PodResources.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PodResources name. */
        name: string;

        /** PodResources namespace. */
        namespace: string;

        /** PodResources containers. */
        containers: v1.ContainerResources.$Properties[];

        /** PodResources cpuIds. */
        cpuIds: number[];

        /** PodResources memory. */
        memory: v1.ContainerMemory.$Properties[];

        /**
         * Encodes the specified PodResources message. Does not implicitly {@link v1.PodResources.verify|verify} messages.
         * @param message PodResources message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.PodResources.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PodResources message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.PodResources & v1.PodResources.$Shape} PodResources
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.PodResources & v1.PodResources.$Shape;
    }

    namespace PodResources {

        /** Properties of a PodResources. */
        interface $Properties {

            /** PodResources name */
            name?: (string|null);

            /** PodResources namespace */
            namespace?: (string|null);

            /** PodResources containers */
            containers?: (v1.ContainerResources.$Properties[]|null);

            /** PodResources cpuIds */
            cpuIds?: (number[]|null);

            /** PodResources memory */
            memory?: (v1.ContainerMemory.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PodResources. */
        type $Shape = v1.PodResources.$Properties;
    }

    /**
     * Properties of a ContainerResources.
     * @deprecated Use v1.ContainerResources.$Properties instead.
     */
    interface IContainerResources extends v1.ContainerResources.$Properties {
    }

    /** Represents a ContainerResources. */
    class ContainerResources {

        /**
         * Constructs a new ContainerResources.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ContainerResources.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerResources name. */
        name: string;

        /** ContainerResources devices. */
        devices: v1.ContainerDevices.$Properties[];

        /** ContainerResources cpuIds. */
        cpuIds: number[];

        /** ContainerResources memory. */
        memory: v1.ContainerMemory.$Properties[];

        /** ContainerResources dynamicResources. */
        dynamicResources: v1.DynamicResource.$Properties[];

        /**
         * Encodes the specified ContainerResources message. Does not implicitly {@link v1.ContainerResources.verify|verify} messages.
         * @param message ContainerResources message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ContainerResources.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerResources message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ContainerResources & v1.ContainerResources.$Shape} ContainerResources
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ContainerResources & v1.ContainerResources.$Shape;
    }

    namespace ContainerResources {

        /** Properties of a ContainerResources. */
        interface $Properties {

            /** ContainerResources name */
            name?: (string|null);

            /** ContainerResources devices */
            devices?: (v1.ContainerDevices.$Properties[]|null);

            /** ContainerResources cpuIds */
            cpuIds?: (number[]|null);

            /** ContainerResources memory */
            memory?: (v1.ContainerMemory.$Properties[]|null);

            /** ContainerResources dynamicResources */
            dynamicResources?: (v1.DynamicResource.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerResources. */
        type $Shape = v1.ContainerResources.$Properties;
    }

    /**
     * Properties of a ContainerDevices.
     * @deprecated Use v1.ContainerDevices.$Properties instead.
     */
    interface IContainerDevices extends v1.ContainerDevices.$Properties {
    }

    /** Represents a ContainerDevices. */
    class ContainerDevices {

        /**
         * Constructs a new ContainerDevices.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ContainerDevices.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerDevices resourceName. */
        resourceName: string;

        /** ContainerDevices deviceIds. */
        deviceIds: string[];

        /** ContainerDevices topology. */
        topology?: (v1.TopologyInfo.$Properties|null);

        /**
         * Encodes the specified ContainerDevices message. Does not implicitly {@link v1.ContainerDevices.verify|verify} messages.
         * @param message ContainerDevices message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ContainerDevices.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerDevices message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ContainerDevices & v1.ContainerDevices.$Shape} ContainerDevices
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ContainerDevices & v1.ContainerDevices.$Shape;
    }

    namespace ContainerDevices {

        /** Properties of a ContainerDevices. */
        interface $Properties {

            /** ContainerDevices resourceName */
            resourceName?: (string|null);

            /** ContainerDevices deviceIds */
            deviceIds?: (string[]|null);

            /** ContainerDevices topology */
            topology?: (v1.TopologyInfo.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerDevices. */
        type $Shape = v1.ContainerDevices.$Properties;
    }

    /**
     * Properties of a ContainerMemory.
     * @deprecated Use v1.ContainerMemory.$Properties instead.
     */
    interface IContainerMemory extends v1.ContainerMemory.$Properties {
    }

    /** Represents a ContainerMemory. */
    class ContainerMemory {

        /**
         * Constructs a new ContainerMemory.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ContainerMemory.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ContainerMemory memoryType. */
        memoryType: string;

        /** ContainerMemory size. */
        size: number;

        /** ContainerMemory topology. */
        topology?: (v1.TopologyInfo.$Properties|null);

        /**
         * Encodes the specified ContainerMemory message. Does not implicitly {@link v1.ContainerMemory.verify|verify} messages.
         * @param message ContainerMemory message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ContainerMemory.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ContainerMemory message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ContainerMemory & v1.ContainerMemory.$Shape} ContainerMemory
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ContainerMemory & v1.ContainerMemory.$Shape;
    }

    namespace ContainerMemory {

        /** Properties of a ContainerMemory. */
        interface $Properties {

            /** ContainerMemory memoryType */
            memoryType?: (string|null);

            /** ContainerMemory size */
            size?: (number|null);

            /** ContainerMemory topology */
            topology?: (v1.TopologyInfo.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ContainerMemory. */
        type $Shape = v1.ContainerMemory.$Properties;
    }

    /**
     * Properties of a TopologyInfo.
     * @deprecated Use v1.TopologyInfo.$Properties instead.
     */
    interface ITopologyInfo extends v1.TopologyInfo.$Properties {
    }

    /** Represents a TopologyInfo. */
    class TopologyInfo {

        /**
         * Constructs a new TopologyInfo.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.TopologyInfo.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** TopologyInfo nodes. */
        nodes: v1.NUMANode.$Properties[];

        /**
         * Encodes the specified TopologyInfo message. Does not implicitly {@link v1.TopologyInfo.verify|verify} messages.
         * @param message TopologyInfo message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.TopologyInfo.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a TopologyInfo message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.TopologyInfo & v1.TopologyInfo.$Shape} TopologyInfo
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.TopologyInfo & v1.TopologyInfo.$Shape;
    }

    namespace TopologyInfo {

        /** Properties of a TopologyInfo. */
        interface $Properties {

            /** TopologyInfo nodes */
            nodes?: (v1.NUMANode.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a TopologyInfo. */
        type $Shape = v1.TopologyInfo.$Properties;
    }

    /**
     * Properties of a NUMANode.
     * @deprecated Use v1.NUMANode.$Properties instead.
     */
    interface INUMANode extends v1.NUMANode.$Properties {
    }

    /** Represents a NUMANode. */
    class NUMANode {

        /**
         * Constructs a new NUMANode.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.NUMANode.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** NUMANode ID. */
        ID: number;

        /**
         * Encodes the specified NUMANode message. Does not implicitly {@link v1.NUMANode.verify|verify} messages.
         * @param message NUMANode message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.NUMANode.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a NUMANode message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.NUMANode & v1.NUMANode.$Shape} NUMANode
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.NUMANode & v1.NUMANode.$Shape;
    }

    namespace NUMANode {

        /** Properties of a NUMANode. */
        interface $Properties {

            /** NUMANode ID */
            ID?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a NUMANode. */
        type $Shape = v1.NUMANode.$Properties;
    }

    /**
     * Properties of a DynamicResource.
     * @deprecated Use v1.DynamicResource.$Properties instead.
     */
    interface IDynamicResource extends v1.DynamicResource.$Properties {
    }

    /** Represents a DynamicResource. */
    class DynamicResource {

        /**
         * Constructs a new DynamicResource.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.DynamicResource.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** DynamicResource claimName. */
        claimName: string;

        /** DynamicResource claimNamespace. */
        claimNamespace: string;

        /** DynamicResource claimResources. */
        claimResources: v1.ClaimResource.$Properties[];

        /**
         * Encodes the specified DynamicResource message. Does not implicitly {@link v1.DynamicResource.verify|verify} messages.
         * @param message DynamicResource message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.DynamicResource.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a DynamicResource message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.DynamicResource & v1.DynamicResource.$Shape} DynamicResource
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.DynamicResource & v1.DynamicResource.$Shape;
    }

    namespace DynamicResource {

        /** Properties of a DynamicResource. */
        interface $Properties {

            /** DynamicResource claimName */
            claimName?: (string|null);

            /** DynamicResource claimNamespace */
            claimNamespace?: (string|null);

            /** DynamicResource claimResources */
            claimResources?: (v1.ClaimResource.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a DynamicResource. */
        type $Shape = v1.DynamicResource.$Properties;
    }

    /**
     * Properties of a ClaimResource.
     * @deprecated Use v1.ClaimResource.$Properties instead.
     */
    interface IClaimResource extends v1.ClaimResource.$Properties {
    }

    /** Represents a ClaimResource. */
    class ClaimResource {

        /**
         * Constructs a new ClaimResource.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.ClaimResource.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ClaimResource cdiDevices. */
        cdiDevices: v1.CDIDevice.$Properties[];

        /** ClaimResource driverName. */
        driverName: string;

        /** ClaimResource poolName. */
        poolName: string;

        /** ClaimResource deviceName. */
        deviceName: string;

        /** ClaimResource shareId. */
        shareId?: (string|null);

        /**
         * Encodes the specified ClaimResource message. Does not implicitly {@link v1.ClaimResource.verify|verify} messages.
         * @param message ClaimResource message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.ClaimResource.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ClaimResource message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.ClaimResource & v1.ClaimResource.$Shape} ClaimResource
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.ClaimResource & v1.ClaimResource.$Shape;
    }

    namespace ClaimResource {

        /** Properties of a ClaimResource. */
        interface $Properties {

            /** ClaimResource cdiDevices */
            cdiDevices?: (v1.CDIDevice.$Properties[]|null);

            /** ClaimResource driverName */
            driverName?: (string|null);

            /** ClaimResource poolName */
            poolName?: (string|null);

            /** ClaimResource deviceName */
            deviceName?: (string|null);

            /** ClaimResource shareId */
            shareId?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ClaimResource. */
        type $Shape = v1.ClaimResource.$Properties;
    }

    /**
     * Properties of a CDIDevice.
     * @deprecated Use v1.CDIDevice.$Properties instead.
     */
    interface ICDIDevice extends v1.CDIDevice.$Properties {
    }

    /** Represents a CDIDevice. */
    class CDIDevice {

        /**
         * Constructs a new CDIDevice.
         * @param [properties] Properties to set
         */
        constructor(properties?: v1.CDIDevice.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** CDIDevice name. */
        name: string;

        /**
         * Encodes the specified CDIDevice message. Does not implicitly {@link v1.CDIDevice.verify|verify} messages.
         * @param message CDIDevice message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: v1.CDIDevice.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a CDIDevice message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {v1.CDIDevice & v1.CDIDevice.$Shape} CDIDevice
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): v1.CDIDevice & v1.CDIDevice.$Shape;
    }

    namespace CDIDevice {

        /** Properties of a CDIDevice. */
        interface $Properties {

            /** CDIDevice name */
            name?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a CDIDevice. */
        type $Shape = v1.CDIDevice.$Properties;
    }
}
